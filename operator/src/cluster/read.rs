//! Reads resources as an API server stores them. It has refused what breaks their schemas, so what is wrong here is seldom.

use serde::{Deserialize, de::DeserializeSeed};
use serde_json::Value;

use crate::{
    api::{self, FieldError, GROUP, Kind, Metadata, Resource, ResourceId},
    compile,
};

/// Reads a resource of a kind. Former spellings count as the current ones.
///
/// # Errors
/// The field that cannot be read, below `spec`.
pub fn resource(kind: Kind, object: &Value) -> Result<Resource, FieldError> {
    let mut spec = object["spec"].clone();
    api::remove_nulls(&mut spec);
    if api::has_former(kind, &spec) {
        api::modernize(kind, &mut spec);
    }
    let failed = |path: String, message: String| FieldError { path, message, help: None };
    let metadata = Metadata::deserialize(&object["metadata"]);
    let Metadata { name, namespace, labels, mut annotations, creation_timestamp: created } =
        metadata.map_err(|error| failed(String::new(), error.to_string()))?;
    annotations.retain(|key, _| key.starts_with(GROUP));
    let mut track = serde_path_to_error::Track::new();
    let read = kind.deserialize(serde_path_to_error::Deserializer::new(&spec, &mut track));
    let spec = read.map_err(|error| failed(track.path().to_string(), error.to_string()))?;
    let namespace = namespace.filter(|_| kind.is_namespaced()).unwrap_or_default();
    Ok(Resource { id: ResourceId { namespace, name, kind }, labels, annotations, created, spec })
}

/// Reads a resource that can be used, with this `spec` in JSON in place of its own; returns also the object as it is then.
pub fn usable_with(kind: Kind, object: &Value, spec: &str) -> Option<(Resource, Value)> {
    let mut former = object.clone();
    former["spec"] = serde_json::from_str(spec).ok()?;
    let resource = resource(kind, &former).ok().filter(|it| compile::check(it).is_empty())?;
    Some((resource, former))
}

/// Whether the status of an object is about its newest `spec`.
pub fn is_judged(object: &Value) -> bool {
    object["status"]["observedGeneration"] == object["metadata"]["generation"]
}

/// Reads a resource as it is in force: if what it says cannot be used, as it was before, which its status says; `None` until
/// that is about the newest `spec`.
pub fn in_force(kind: Kind, object: &Value) -> Option<Resource> {
    let newest = resource(kind, object).ok();
    if newest.as_ref().is_some_and(|resource| compile::check(resource).is_empty()) {
        return newest;
    }
    if !is_judged(object) {
        return None;
    }
    let former = object["status"]["inForce"].as_str().and_then(|spec| usable_with(kind, object, spec));
    former.map(|(resource, _)| resource).or(newest)
}
