//! Label selectors: the records that a zone selects, and the instances that serve it.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An entry of `recordsFrom` or `bind9InstancesFrom`. The zone has everything that one of its entries selects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordSource {
    /// The condition on the labels.
    pub selector: LabelSelector,
}

/// A label selector of Kubernetes: every part must hold, and an empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-type" = "LabelSelector"))]
pub struct LabelSelector {
    /// Labels that must be present with exactly these values.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 64), extend("x-example" = BTreeMap::from([("zone", "example.com")])))]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements that must all hold.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub match_expressions: Vec<Requirement>,
}

/// An entry of `matchExpressions`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "self.operator in ['In', 'NotIn'] == (has(self.values) && size(self.values) > 0)"
).message("In and NotIn need values, Exists and DoesNotExist have none"))]
pub struct Requirement {
    /// The key of the label.
    #[schemars(length(min = 1, max = 317), extend("x-example" = "team"))]
    pub key: String,
    /// The comparison: `In` and `NotIn` compare the value with `values`, and an absent label is in none of them.
    /// `Exists` and `DoesNotExist` test whether the label is present.
    pub operator: Operator,
    /// The values with which `In` and `NotIn` compare.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(max = 63)), extend("x-example" = ["web", "mail"]))]
    pub values: Vec<String>,
}

/// The comparison of a [`Requirement`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operator {
    /// The label is present, with one of the values.
    In,
    /// The label is absent, or has none of the values.
    NotIn,
    /// The label is present.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

impl LabelSelector {
    /// Whether the labels satisfy every part of the selector.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }
}

impl Requirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        serde_saphyr::from_str::<LabelSelector>(selector).unwrap().matches(&labels)
    }

    #[test]
    fn every_part_must_hold() {
        let both = "{matchLabels: {zone: a}, matchExpressions: [{key: team, operator: In, values: [web, ops]}]}";
        assert!(selects(both, &[("zone", "a"), ("team", "ops")]));
        assert!(!selects(both, &[("zone", "a"), ("team", "db")]));
        assert!(!selects(both, &[("zone", "a")]));
        assert!(!selects(both, &[("zone", "b"), ("team", "ops")]));
        assert!(selects("{}", &[]));
    }

    #[test]
    fn an_absent_label_is_not_in() {
        assert!(selects("{matchExpressions: [{key: team, operator: NotIn, values: [web]}]}", &[]));
        assert!(!selects("{matchExpressions: [{key: team, operator: NotIn, values: [web]}]}", &[("team", "web")]));
        assert!(selects("{matchExpressions: [{key: team, operator: DoesNotExist}]}", &[]));
        assert!(!selects("{matchExpressions: [{key: team, operator: Exists}]}", &[]));
    }
}
