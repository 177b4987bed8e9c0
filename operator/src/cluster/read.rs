//! Reads resources as an API server stores them. It has refused what breaks their schemas, so what is wrong here is seldom.

use serde::{Deserialize, de::DeserializeSeed};
use serde_json::Value;

use crate::api::{self, FieldError, GROUP, Kind, Metadata, Resource, ResourceId};

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
