//! Configuration files that users keep in ConfigMaps of their own (`configMapRefs`). Their text becomes a part of the
//! ConfigMap that pods have, so that it changes together with the rest, and pods go on with it when theirs is gone.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Surroundings, subject::Subject};
use crate::{
    api::FieldError,
    object::{ObjectId, Type},
};

/// An object that a resource names, as far as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// It is there.
    There(Value),
    /// There is none of this name.
    Absent,
    /// It cannot be read, and why.
    Unreadable(String),
}

/// The texts of a user's own files.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Files<'g> {
    /// The whole configuration.
    pub(super) conf: Option<&'g str>,
    /// The `options`.
    pub(super) options: Option<&'g str>,
    /// Zones beside those that are declared.
    pub(super) zones: Option<&'g str>,
}

impl<'g> Files<'g> {
    /// The files that are given for a server; `None` until all of them were looked for. Adds the ConfigMaps to `named`.
    ///
    /// # Errors
    /// A ConfigMap or its key that is not there.
    pub(super) fn of(
        subject: &Subject<'_>,
        surroundings: &'g Surroundings,
        named: &mut BTreeSet<ObjectId>,
    ) -> Result<Option<Files<'g>>, FieldError> {
        let Some(refs) = subject.config_map_refs() else { return Ok(Some(Files::default())) };
        let fields = [
            ("namedConf", "named.conf", refs.named_conf.as_ref()),
            ("namedConfOptions", "named.conf.options", refs.named_conf_options.as_ref()),
            ("namedConfZones", "named.conf.zones", refs.named_conf_zones.as_ref()),
        ];
        let (mut files, mut is_complete) = ([None; 3], true);
        let id = |name: &String| ObjectId {
            of: Type::GivenConfigMap,
            namespace: subject.namespace().to_owned(),
            name: name.clone(),
        };
        named.extend(fields.iter().filter_map(|(_, _, name)| name.map(id)));
        for (file, (field, key, name)) in files.iter_mut().zip(fields) {
            let Some(name) = name else { continue };
            let id = id(name);
            match surroundings.given.get(&id) {
                Some(given) => *file = Some(text(&id, given, field, key)?),
                None => is_complete = false,
            }
        }
        let [conf, options, zones] = files;
        Ok(is_complete.then_some(Files { conf, options, zones }))
    }
}

fn text<'g>(id: &ObjectId, given: &'g Given, field: &str, key: &str) -> Result<&'g str, FieldError> {
    let failed = |message: String, help: &str| FieldError {
        path: format!("configMapRefs.{field}"),
        message,
        help: Some(help.into()),
    };
    match given {
        Given::There(object) => object["data"][key]
            .as_str()
            .ok_or_else(|| failed(format!("{id} has no text in the key `{key}`"), "add it, or name another ConfigMap")),
        Given::Absent => Err(failed(format!("there is no {id}"), "create it, or name another one")),
        Given::Unreadable(why) => Err(failed(format!("{id} cannot be read: {why}"), "let the operator read it")),
    }
}
