//! The volumes that a user gives to the pods of a server, beside Bindy's own with the configuration and the zones. A volume
//! of a user's for the zones takes the place of Bindy's.

use serde_json::{Value, json};

use super::{Subject, names};
use crate::api::{FieldError, embedded::VolumeMount};

/// The names of Bindy's own volumes.
pub(super) const CONFIG: &str = "config";
pub(super) const ZONES: &str = "zones";

/// The name of a volume of Bindy's; another one if a user has a volume of that name.
pub(super) fn own_name(subject: &Subject<'_>, name: &str) -> String {
    let is_taken = subject.volumes().iter().any(|volume| volume.0.get("name").is_some_and(|it| it == name));
    if is_taken { format!("bindy-{name}") } else { name.to_owned() }
}

/// Whether a user has a volume for the zones.
pub(super) fn has_zones(subject: &Subject<'_>) -> bool {
    subject.volume_mounts().iter().any(|mount| folder(mount) == names::ZONES_FOLDER)
}

/// Whether a user has a volume for the zones that is in one pod at a time.
pub(super) fn has_zones_on_claim(subject: &Subject<'_>) -> bool {
    let at = subject.volume_mounts().iter().find(|mount| folder(mount) == names::ZONES_FOLDER);
    let is_it = |volume: &Value| volume["persistentVolumeClaim"].is_object();
    let volumes = || subject.volumes().iter().map(|volume| Value::Object(volume.0.clone()));
    at.is_some_and(|mount| volumes().any(|volume| Some(&volume["name"]) == mount.0.get("name") && is_it(&volume)))
}

/// Where a user's volumes are in the container. Of one that all servers of a cluster share, each has a folder of its own for
/// its zones: they are not the same ones, nor of the same time.
pub(super) fn mounts(subject: &Subject<'_>) -> impl Iterator<Item = Value> {
    let is_shared = subject.spec.volumes.is_none();
    subject.volume_mounts().iter().map(move |mount| {
        let mut own = Value::Object(mount.0.clone());
        let says = |field: &str| mount.0.get(field).is_some_and(|text| text != "");
        let is_plain = !says("subPath") && !says("subPathExpr");
        if is_shared && is_plain && folder(mount) == names::ZONES_FOLDER {
            own["subPath"] = json!(subject.name());
        }
        own
    })
}

/// Checks that a user's volumes leave Bindy its configuration.
///
/// # Errors
/// One of them does not.
pub(super) fn check(subject: &Subject<'_>) -> Result<(), FieldError> {
    match subject.volume_mounts().iter().position(|mount| folder(mount) == names::CONFIG_FOLDER) {
        None => Ok(()),
        Some(at) => Err(FieldError {
            path: format!("volumeMounts[{at}].mountPath"),
            message: format!("{} has the configuration that Bindy makes", names::CONFIG_FOLDER),
            help: Some("mount it elsewhere, or give files of your own by `configMapRefs`".into()),
        }),
    }
}

fn folder(mount: &VolumeMount) -> &str {
    mount.0.get("mountPath").and_then(Value::as_str).unwrap_or_default().trim_end_matches('/')
}
