//! Manifests in use, which are the files of this folder.

use std::fs;

use bindy::manifest;
use serde_json::Value;
use zonefmt::diagnostics::Source;

/// The files with their names, in the order of these.
pub fn files() -> Vec<(String, Source)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    paths.sort();
    let file = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name.clone(), Source::new(name, fs::read(path).unwrap()))
    };
    paths.into_iter().map(file).collect()
}

/// The objects of a file. Those in lists are separate.
pub fn objects(source: &Source) -> Vec<Value> {
    let text = std::str::from_utf8(source.text()).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    documents.into_iter().flat_map(|document| document["items"].as_array().cloned().unwrap_or(vec![document])).collect()
}

/// The resource that results from reading an object.
pub fn meaning(object: &Value) -> String {
    let reading = manifest::read(&Source::new("object.json", object.to_string()));
    format!("{:?}", reading.manifests[0].resource)
}
