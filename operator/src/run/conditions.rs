//! What people see of a resource: its `status`, made of what was compiled and of what servers were seen to serve. All are
//! pure functions; a time changes only where a condition does.

use std::iter;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use zonefmt::Name;

use super::{catalogs::MOST_MEMBERS, seen::Obstacle, truth::Extent};
use crate::{
    api::{
        GROUP, ResourceId, VERSION,
        status::{MOST_ADDRESSES, MOST_INSTANCES, MOST_MESSAGE},
    },
    compile::{Finding, Reason, Verdict},
    object::ObjectId,
    servers::ServerId,
};

/// What the conditions say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// All is as it is declared; with warnings, if there are any.
    Ready(&'static str, String),
    /// It will be.
    Waiting(&'static str, String),
    /// It will not be before somebody changes something.
    Stalled(&'static str, String),
}

/// Why a zone may not be as its resource says, beside what is wrong with that.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Why a new version is not published.
    pub(super) held: Option<String>,
    /// Whether it names a cluster or a provider that is not there.
    pub(super) is_adrift: bool,
}

/// The reason of what is served.
pub(super) const SERVED: &str = "Served";
/// The reason of what some server does not serve yet.
pub(super) const NOT_SERVED_YET: &str = "NotServedYet";
/// The reason of a zone that some server has not served for [`LONG`].
pub(super) const NOT_SERVED: &str = "NotServed";
/// The reason of servers of which none is ready.
pub(super) const NOT_READY: &str = "NotReady";
/// The reason of servers of which some are ready.
pub(super) const PARTIALLY_READY: &str = "PartiallyReady";
/// The reason of a server of which a pod does not start.
pub(super) const POD_NOT_STARTING: &str = "PodNotStarting";
/// The reason of a server of which the API server refuses an object.
pub(super) const APPLY_FAILED: &str = "ApplyFailed";
/// The reason of a zone without servers.
pub(super) const NO_SERVERS: &str = "NoServers";
/// The reason of a zone whose new version would remove much of it, and of a server that would lose many zones.
const LARGE_REMOVAL_HELD: &str = "LargeRemovalHeld";
/// The reason of a zone for which a server has no room.
pub(super) const TOO_MANY_ZONES: &str = "TooManyZones";
/// The reason if it cannot be read what clients have written into a zone.
const RECORDS_UNREADABLE: &str = "DynamicRecordsUnreadable";
/// How long a server may lack the newest version of a zone until somebody should look.
const LONG: SignedDuration = SignedDuration::from_secs(60);
/// The most servers that a message names.
const NAMED: usize = 5;

impl Said {
    /// What follows from a verdict alone: that something is not served, if it is not.
    pub(super) fn refused(verdict: &Verdict) -> Option<Said> {
        let loss = verdict.findings.iter().find(|finding| finding.reason.is_loss())?;
        Some(Said::Stalled(loss.reason.name(), told(loss)))
    }

    /// That a resource is served, with the warnings about it.
    pub(super) fn served(verdict: &Verdict) -> Said {
        Said::Ready(SERVED, "Every server serves it.".into()).warning(verdict)
    }

    /// The same with the warnings about a resource that is ready. The first one is the reason, for those who look for it.
    pub(super) fn warning(self, verdict: &Verdict) -> Said {
        match (self, verdict.findings.first()) {
            (Said::Ready(_, message), Some(first)) => {
                let warnings = verdict.findings.iter().map(told);
                let told: Vec<String> = iter::once(message).chain(warnings).collect();
                Said::Ready(first.reason.name(), told.join(" "))
            }
            (said, _) => said,
        }
    }

    /// That much would go, which waits until somebody allows it.
    pub(super) fn held(why: &str) -> Said {
        Said::Stalled(LARGE_REMOVAL_HELD, sentence(why))
    }

    /// That a zone names a cluster or a provider that is not there, so that it stays where it was.
    fn adrift(verdict: &Verdict) -> Option<Said> {
        let dangling = dangling(verdict)?;
        let message = format!("{} Until then it stays on the servers that have it.", told(dangling));
        Some(Said::Stalled(dangling.reason.name(), message))
    }

    /// What follows for a zone from how far it is served.
    pub(super) fn of_zone(verdict: &Verdict, extent: &Extent, trouble: &Trouble) -> Said {
        if let Some(refused) = Said::refused(verdict) {
            return refused;
        }
        if let Some(why) = &trouble.held {
            return Said::held(why);
        }
        if extent.servers.is_empty() {
            let why = dangling(verdict).map(told);
            let why = why.unwrap_or_else(|| {
                "No server has it: give the cluster that it names replicas, or name one in `clusterRef`, or select \
                 instances by `bind9InstancesFrom`."
                    .into()
            });
            return Said::Stalled(NO_SERVERS, why);
        }
        if let Some(adrift) = Said::adrift(verdict).filter(|_| trouble.is_adrift) {
            return adrift;
        }
        if extent.behind.is_empty() {
            return Said::served(verdict);
        }
        let named: Vec<String> = extent.behind.iter().take(NAMED).map(ToString::to_string).collect();
        let more = extent.behind.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Said::Waiting(NOT_SERVED_YET, format!("Its newest version is not served by {}{more}.", named.join(", ")))
    }

    /// The same of an object that has waited to be served for so long that something is wrong.
    fn for_long(self, object: &Value, now: Timestamp) -> Said {
        let waits = of(object, "Reconciling").filter(|waits| waits["status"] == "True");
        let since: Option<Timestamp> = waits.and_then(|waits| waits["lastTransitionTime"].as_str()?.parse().ok());
        let is_long = since.is_some_and(|since| now.duration_since(since) >= LONG);
        match self {
            Said::Waiting(NOT_SERVED_YET, message) if is_long => Said::Waiting(NOT_SERVED, message),
            said => said,
        }
    }

    /// The conditions `Ready`, `Reconciling` and `Stalled`. A condition that stays keeps its time.
    pub(super) fn conditions(&self, object: &Value, now: Timestamp) -> Value {
        let (ready, reconciling, stalled) = match self {
            Said::Ready(..) => ("True", "False", "False"),
            Said::Waiting(..) => ("False", "True", "False"),
            Said::Stalled(..) => ("False", "False", "True"),
        };
        let (Said::Ready(reason, message) | Said::Waiting(reason, message) | Said::Stalled(reason, message)) = self;
        let all = [("Ready", ready), ("Reconciling", reconciling), ("Stalled", stalled)];
        all.into_iter().map(|condition| self::condition(object, condition, (*reason, message), now)).collect()
    }
}

/// A condition, by its type and status, with its reason and message.
pub(super) fn condition(
    object: &Value,
    (kind, status): (&str, &str),
    (reason, message): (&str, &str),
    now: Timestamp,
) -> Value {
    let former = of(object, kind).filter(|former| former["status"] == status);
    let since = former.map_or_else(|| json!(format!("{now:.0}")), |former| former["lastTransitionTime"].clone());
    let message: String = message.chars().take(MOST_MESSAGE).collect();
    json!({
        "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since,
        "observedGeneration": object["metadata"]["generation"],
    })
}

/// The servers that have a zone, as its status says.
pub(super) fn servers_of(zone: &Value) -> impl Iterator<Item = ServerId> {
    let instances = zone["status"]["bind9Instances"].as_array().into_iter().flatten();
    instances.filter_map(|instance| {
        let text = |field: &str| Some(instance[field].as_str()?.to_owned());
        Some(ServerId { namespace: text("namespace")?, name: text("name")? })
    })
}

/// The condition of an object that has this type.
pub(super) fn of<'o>(object: &'o Value, kind: &str) -> Option<&'o Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// The status of a zone, without its serial and content.
pub(super) fn zone(object: &Value, verdict: &Verdict, extent: &Extent, trouble: &Trouble, now: Timestamp) -> Value {
    let said = Said::of_zone(verdict, extent, trouble).for_long(object, now);
    zone_on(object, extent, &said, now)
}

/// The status of a zone that is on these servers, which says this.
pub(super) fn zone_on(object: &Value, extent: &Extent, said: &Said, now: Timestamp) -> Value {
    let servers = extent.servers.len();
    let serving = servers - extent.behind.len();
    let instances = extent.servers.iter().take(MOST_INSTANCES).map(|server| reference(&server.resource()));
    json!({
        "observedGeneration": object["metadata"]["generation"],
        "bind9InstancesCount": servers,
        "bind9Instances": instances.collect::<Value>(),
        "servers": format!("{serving}/{servers}"),
        "conditions": said.conditions(object, now),
    })
}

/// The status of a zone that is on no server, as this says.
pub(super) fn zone_nowhere(object: &Value, said: &Said, now: Timestamp) -> Value {
    json!({
        "observedGeneration": object["metadata"]["generation"],
        "bind9InstancesCount": null,
        "bind9Instances": null,
        "servers": null,
        "conditions": said.conditions(object, now),
    })
}

/// The status of a record, of which this `spec` is in force. `zone` is the resource of the zone that serves it, with that zone's name.
pub(super) fn record(
    (object, spec): (&Value, &Value),
    said: &Said,
    zone: Option<(&ResourceId, &Name)>,
    owner: Option<&Name>,
    now: Timestamp,
) -> Value {
    let zone_ref = zone.map(|(id, origin)| {
        let mut zone = reference(id);
        zone["zoneName"] = json!(origin.as_ref().without_final_dot().to_string());
        zone
    });
    // What does not hold any more goes: in a merge, null removes.
    json!({
        "observedGeneration": object["metadata"]["generation"],
        "zoneRef": zone_ref,
        "publishedName": owner.filter(|_| zone.is_some()).map(ToString::to_string),
        "addresses": addresses(spec),
        "conditions": said.conditions(object, now),
    })
}

/// The addresses of a `spec` that has some, as listings show them.
fn addresses(spec: &Value) -> Option<String> {
    /// Those of a former spelling are there one at a time.
    const FIELDS: [&str; 4] = ["ipv4Addresses", "ipv6Addresses", "ipv4Address", "ipv6Address"];
    let listed = FIELDS.iter().map(|field| &spec[*field]).find(|value| !value.is_null())?;
    let one = std::slice::from_ref(listed);
    let all = listed.as_array().map_or(one, Vec::as_slice).iter().filter_map(Value::as_str);
    let text = all.collect::<Vec<_>>().join(",");
    if text.chars().count() <= MOST_ADDRESSES {
        return Some(text);
    }
    let some: String = text.chars().take(MOST_ADDRESSES - 1).collect();
    some.rsplit_once(',').map(|(whole, _)| format!("{whole},…"))
}

/// A reference to a resource.
pub(super) fn reference(id: &ResourceId) -> Value {
    let namespace = Some(&id.namespace).filter(|namespace| !namespace.is_empty());
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": id.kind.name(), "name": id.name, "namespace": namespace,
    })
}

/// What follows for servers from how many there are to be and how many are ready.
pub(super) fn of_servers(wanted: usize, ready: usize, what: &str) -> Said {
    match (wanted, ready) {
        (0, _) => Said::Ready("NoChildren", format!("It has no {what}.")),
        // There is one more while it is replaced by another.
        (wanted, ready) if ready >= wanted => {
            Said::Ready("AllReady", format!("{wanted} of {wanted} {what} are ready."))
        }
        (wanted, 0) => Said::Waiting(NOT_READY, format!("0 of {wanted} {what} are ready.")),
        (wanted, ready) => Said::Waiting(PARTIALLY_READY, format!("{ready} of {wanted} {what} are ready.")),
    }
}

/// That a pod does not have the newest configuration in effect.
pub(super) fn config_pending(pod: &str) -> Said {
    let message =
        format!("The pod {pod} does not have the newest named.conf yet; kubelets bring it within two minutes or so.");
    Said::Waiting("ConfigurationPending", message)
}

/// That the pods of a server cannot start, as there is no Secret with its key, which comes from the Secret that a user names
/// for it, if there is one.
pub(super) fn key_missing(secret: &ObjectId, given: Option<&str>) -> Said {
    let from = given.map(|name| {
        let namespace = &secret.namespace;
        format!(
            " of the Secret {namespace}/{name} that `rndcKey.secretRef` names: see that this is there and has a key"
        )
    });
    let from = from.unwrap_or_default();
    let message = format!(
        "There is no {secret} with `keys.conf`, which `bindy keys` makes{from}; its log says why if it does not."
    );
    Said::Waiting("KeyMissing", message)
}

/// That a pod of a server does not start, and why; so many others are ready.
pub(super) fn pod_not_starting(pod: &str, Obstacle { why, may_pass }: &Obstacle, ready: usize) -> Said {
    let others = if ready > 0 { " Its former pods go on until then." } else { "" };
    let message = format!("The pod {pod} does not start: {}.{others}", why.trim_end_matches('.'));
    if *may_pass { Said::Waiting(POD_NOT_STARTING, message) } else { Said::Stalled(POD_NOT_STARTING, message) }
}

/// That the pods of a server are being replaced.
pub(super) fn rolling_out() -> Said {
    Said::Waiting("RollingOut", "Its pods are being replaced.".into())
}

/// That the pods of a server are to be replaced after those of another.
pub(super) fn rollout_waiting(other: &ServerId) -> Said {
    let message = format!("Its pods are replaced when the server {other} has its own, and its zones, again.");
    Said::Waiting("RolloutWaiting", message)
}

/// That a server has so many zones that it does not get this one.
pub(super) fn no_room(server: &ServerId) -> Said {
    let message = format!(
        "The server {server} has {MOST_MEMBERS} zones, the most that it may have, and not this one, which is newer: \
         have another cluster serve it."
    );
    Said::Stalled(TOO_MANY_ZONES, message)
}

/// That it cannot be read what clients have written into a zone, which stays as it is until then.
pub(super) fn unreadable(why: &str) -> Said {
    Said::Stalled(RECORDS_UNREADABLE, sentence(why))
}

/// That a pod refuses the newest configuration.
pub(super) fn config_refused(pod: &str, why: &str) -> Said {
    let message = format!(
        "The pod {pod} refuses its newest configuration: {why}. The former one stays in effect; change the resource or \
         the ConfigMap that it comes from."
    );
    Said::Stalled("ConfigurationRefused", message)
}

/// The condition `Ready` of an object.
pub(super) fn ready(object: &Value) -> Option<&Value> {
    of(object, "Ready")
}

/// Whether an object says that it is ready.
pub(super) fn is_ready(object: &Value) -> bool {
    ready(object).is_some_and(|ready| ready["status"] == "True")
}

/// What a zone names and is not there.
fn dangling(verdict: &Verdict) -> Option<&Finding> {
    verdict.findings.iter().find(|finding| finding.reason == Reason::DanglingReference)
}

/// A finding as a sentence. A field with which it begins stays as it is spelt.
fn told(finding: &Finding) -> String {
    let Finding { path, message, .. } = finding;
    let is_first = !path.is_empty() && message.strip_prefix(path).is_some_and(|rest| rest.starts_with(':'));
    if is_first { format!("{message}.") } else { sentence(message) }
}

fn sentence(text: &str) -> String {
    // A name is not a word to be capitalized.
    if text.split(' ').next().is_some_and(|first| first.contains('.')) {
        return format!("{text}.");
    }
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Kind, crd, unknown_fields};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_condition_that_stays_keeps_its_time() {
        let mut object = json!({ "metadata": { "generation": 2 } });
        let waiting = Said::Waiting(NOT_SERVED_YET, "a".into());
        let conditions = waiting.conditions(&object, at("2026-01-31T12:00:00Z"));
        assert_eq!(conditions[0]["status"], "False");
        assert_eq!(conditions[1]["status"], "True");
        object["status"] = json!({ "conditions": conditions });
        let later = Said::Ready(SERVED, "b".into()).conditions(&object, at("2026-01-31T12:00:09Z"));
        assert_eq!(later[0]["lastTransitionTime"], "2026-01-31T12:00:09Z", "Ready has changed");
        assert_eq!(later[2]["lastTransitionTime"], "2026-01-31T12:00:00Z", "Stalled has not");
        assert_eq!(later[2]["observedGeneration"], 2);
    }

    #[test]
    fn a_zone_says_who_does_not_serve_it() {
        let server = |name: &str| ServerId { namespace: "dns".into(), name: name.into() };
        let (all, fine) = (["a", "b", "c"].map(server), Trouble::default());
        let extent = Extent { servers: all.to_vec(), behind: vec![server("a")] };
        let status = zone(&json!({}), &Verdict::default(), &extent, &fine, at("2026-01-31T12:00:00Z"));
        assert_eq!(status["servers"], "2/3");
        assert_eq!(status["conditions"][0]["message"], "Its newest version is not served by dns/a.");
        assert_eq!(servers_of(&json!({ "status": status })).collect::<Vec<_>>(), all);
        let nobody = zone(&json!({}), &Verdict::default(), &Extent::default(), &fine, at("2026-01-31T12:00:00Z"));
        assert_eq!(nobody["conditions"][0]["reason"], NO_SERVERS);
    }

    #[test]
    fn a_zone_that_a_server_lacks_for_long_says_so() {
        let server = ServerId { namespace: "dns".into(), name: "a".into() };
        let extent = Extent { servers: vec![server.clone()], behind: vec![server] };
        let told = |object: &Value, now| zone(object, &Verdict::default(), &extent, &Trouble::default(), at(now));
        let first = told(&json!({}), "2026-01-31T12:00:00Z");
        assert_eq!(first["conditions"][0]["reason"], NOT_SERVED_YET);
        let object = json!({ "status": first });
        assert_eq!(told(&object, "2026-01-31T12:00:59Z")["conditions"][0]["reason"], NOT_SERVED_YET);
        let object = json!({ "status": told(&object, "2026-01-31T12:01:00Z") });
        assert_eq!(object["status"]["conditions"][0]["reason"], NOT_SERVED);
        assert_eq!(told(&object, "2026-01-31T12:09:00Z"), object["status"], "it is said once");
    }

    #[test]
    fn a_status_has_the_size_that_its_definition_allows() {
        let now = at("2026-01-31T12:00:00Z");
        let valid = |kind: Kind, status: &Value| {
            let schema = &crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
            let mut status = status.clone();
            crate::api::remove_nulls(&mut status);
            let wrong = jsonschema::validator_for(schema).unwrap();
            let wrong: Vec<String> = wrong.iter_errors(&status).map(|error| error.to_string()).collect();
            assert_eq!(wrong, [""; 0]);
            let unknown = unknown_fields(schema, &status);
            assert!(unknown.is_empty(), "{unknown:?}");
        };
        let addresses = vec!["192.168.100.100"; 4078];
        let object = json!({ "metadata": { "generation": 2 }, "spec": { "ipv4Addresses": addresses } });
        let (zone_id, origin) = (
            ResourceId { namespace: "dns".into(), name: "a".into(), kind: Kind::Zone },
            Name::from_ascii("example.com").unwrap(),
        );
        let long = Said::Stalled("InvalidRecord", "ä".repeat(40_000));
        let told = record((&object, &object["spec"]), &long, Some((&zone_id, &origin)), Some(&origin), now);
        assert!(told["addresses"].as_str().unwrap().ends_with("192.168.100.100,…"));
        valid(Kind::from_name("ARecord").unwrap(), &told);
        let servers = (0..300).map(|number| ServerId { namespace: "dns".into(), name: format!("a{number}") });
        let extent = Extent { servers: servers.collect(), behind: Vec::new() };
        valid(Kind::Zone, &zone(&object, &Verdict::default(), &extent, &Trouble::default(), now));
        valid(Kind::Zone, &zone_nowhere(&object, &long, now));
        let former = json!({ "ipv6Address": "2001:db8::1" });
        assert_eq!(record((&object, &former), &long, None, None, now)["addresses"], "2001:db8::1");
    }

    #[test]
    fn a_field_with_which_a_message_begins_is_told_as_it_is_spelt() {
        let finding = |path: &str, message: &str| {
            let (path, message) = (path.into(), message.into());
            Finding { reason: Reason::InvalidRecord, zone: None, path, message }
        };
        let field = finding("ipv4Addresses[0]", "ipv4Addresses[0]: 192.0.2.256 is no address");
        assert_eq!(told(&field), "ipv4Addresses[0]: 192.0.2.256 is no address.");
        assert_eq!(told(&finding("name", "names have at most 255 octets")), "Names have at most 255 octets.");
        assert_eq!(told(&finding("", "no zone selects it")), "No zone selects it.");
        assert_eq!(told(&finding("name", "a.example.com. is hidden")), "a.example.com. is hidden.");
    }

    #[test]
    fn a_pod_that_is_replaced_while_another_is_ready_is_not_counted_twice() {
        assert_eq!(of_servers(2, 3, "pods"), Said::Ready("AllReady", "2 of 2 pods are ready.".into()));
        assert_eq!(of_servers(2, 1, "pods"), Said::Waiting("PartiallyReady", "1 of 2 pods are ready.".into()));
    }

    #[test]
    fn the_first_warning_is_the_reason_of_what_is_ready() {
        let warning =
            |reason, message: &str| Finding { reason, zone: None, path: String::new(), message: message.into() };
        let findings = vec![warning(Reason::ServerWithoutAddress, "one"), warning(Reason::NotSigned, "two")];
        let verdict = Verdict { served: Vec::new(), findings };
        let ready = |reason, message: &str| Said::Ready(reason, message.into());
        assert_eq!(Said::served(&verdict), ready("ServerWithoutAddress", "Every server serves it. One. Two."));
        assert_eq!(Said::served(&Verdict::default()), ready(SERVED, "Every server serves it."));
        let waiting = of_servers(2, 1, "pods");
        assert_eq!(waiting.clone().warning(&verdict), waiting, "what it waits for matters more");
    }
}
