//! The environment of a container's process.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource};

use crate::facts::{Data, Facts, Kind, Refusal};

/// The variables of a container, in the order in which the later may refer to the earlier, as `$(NAME)`.
pub(crate) fn variables(container: &Container, facts: &Facts<'_>) -> Result<BTreeMap<String, String>, Refusal> {
    let mut variables = BTreeMap::from([
        ("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
        ("HOSTNAME".into(), facts.pod.metadata.name.clone().unwrap_or_default()),
        ("KUBERNETES_SERVICE_HOST".into(), facts.api.ip().to_string()),
        ("KUBERNETES_SERVICE_PORT".into(), facts.api.port().to_string()),
        ("KUBERNETES_SERVICE_PORT_HTTPS".into(), facts.api.port().to_string()),
    ]);
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let config_map = source.config_map_ref.as_ref().map(|it| (Kind::ConfigMap, &it.name, it.optional));
        let secret = source.secret_ref.as_ref().map(|it| (Kind::Secret, &it.name, it.optional));
        let Some((kind, name, optional)) = config_map.or(secret) else { continue };
        for (key, value) in facts.data(kind, name, optional)?.into_iter().flatten() {
            variables.insert(format!("{prefix}{key}"), text(value)?);
        }
    }
    for variable in container.env.iter().flatten() {
        if let Some(value) = value(variable, container, facts, &variables)? {
            variables.insert(variable.name.clone(), value);
        }
    }
    Ok(variables)
}

/// The value of a variable; `None` where its source is optional and absent.
fn value(
    variable: &EnvVar,
    container: &Container,
    facts: &Facts<'_>,
    known: &BTreeMap<String, String>,
) -> Result<Option<String>, Refusal> {
    let Some(source) = &variable.value_from else {
        return Ok(Some(expand(variable.value.as_deref().unwrap_or_default(), known)));
    };
    match source {
        EnvVarSource { field_ref: Some(field), .. } => facts.field(field).map(Some),
        EnvVarSource { resource_field_ref: Some(field), .. } => {
            facts.resource(Some(container), field).map(|number| Some(number.to_string()))
        }
        EnvVarSource { config_map_key_ref: Some(it), .. } => {
            key(facts.data(Kind::ConfigMap, &it.name, it.optional)?, &it.key, it.optional)
        }
        EnvVarSource { secret_key_ref: Some(it), .. } => {
            key(facts.data(Kind::Secret, &it.name, it.optional)?, &it.key, it.optional)
        }
        _ => Err(Refusal::config(format!("{}: a source that this kubelet does not know", variable.name))),
    }
}

fn key(data: Option<&Data>, key: &str, is_optional: Option<bool>) -> Result<Option<String>, Refusal> {
    match data.and_then(|data| data.get(key)) {
        Some(value) => text(value).map(Some),
        None if data.is_none() || is_optional == Some(true) => Ok(None),
        None => Err(Refusal::config(format!("couldn't find key {key}"))),
    }
}

fn text(value: &[u8]) -> Result<String, Refusal> {
    String::from_utf8(value.to_vec()).map_err(|_| Refusal::config("the value of a variable is no text"))
}

/// Puts the values of known variables in the places of `$(NAME)`; `$$` is `$`.
pub(crate) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result += before;
        let reference = after.strip_prefix('(').and_then(|after| after.split_once(')'));
        rest = match (after.strip_prefix('$'), reference) {
            (Some(after), _) => {
                result.push('$');
                after
            }
            (None, Some((name, after))) if variables.contains_key(name) => {
                result += &variables[name];
                after
            }
            _ => {
                result.push('$');
                after
            }
        };
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_known_variables_are_replaced() {
        let variables = BTreeMap::from([("A".into(), "1".into()), ("B".into(), "$(A)".into())]);
        for (text, expanded) in
            [("$(A)-$(A)", "1-1"), ("$(B)", "$(A)"), ("$(C)$", "$(C)$"), ("$$(A)", "$(A)"), ("$(A", "$(A")]
        {
            assert_eq!(expand(text, &variables), expanded, "{text}");
        }
    }
}
