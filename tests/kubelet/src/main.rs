//! The program `bindy-kubelet`: `node FILE` runs the Pods of a Node as the settings in FILE say, and `launch FILE` is
//! what each container's process starts as.
//!
//! What is decided stands apart from what is done. `plan`, `environment` and `volume` make processes and files of a Pod
//! and of the objects that it refers to; `probe` and `back_off` tell health; `status` says it all to the API server: all
//! of these are pure. Around them, `node` follows the Pods, a `pod` lives with its `container`s, `objects` follows
//! what a Pod refers to, `network` gives Pods their addresses, `services` their ClusterIPs through `relay`s, `claims`
//! their volumes, `logs` answers `kubectl logs`, and `control` obeys the test.

#![forbid(unsafe_code)]

mod back_off;
mod claims;
mod container;
mod control;
mod environment;
mod facts;
mod follow;
mod launch;
mod logs;
mod machine;
mod network;
mod node;
mod objects;
mod plan;
mod pod;
mod probe;
mod prober;
mod quantity;
mod relay;
mod services;
mod status;
mod volume;

use std::{env, fs, path::Path, process::ExitCode};

use serde::de::DeserializeOwned;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["node", file] => read(file).and_then(node::run),
        ["launch", file] => read(file).and_then(|plan| launch::become_container(&plan)),
        _ => Err("usage: bindy-kubelet node FILE | launch FILE; bindy_cluster starts it".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read<T: DeserializeOwned>(file: impl AsRef<Path>) -> Result<T, String> {
    let text = fs::read(&file).map_err(|error| format!("{}: {error}", file.as_ref().display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", file.as_ref().display()))
}
