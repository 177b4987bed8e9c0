//! Makes a process of a container.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use bindy_kubelet::Image;
use k8s_openapi::api::core::v1::{Container, Pod, PodSecurityContext, SecurityContext};

use crate::{
    environment::{expand, variables},
    facts::{Facts, Refusal},
    launch::{Bind, Identity, Launch},
    quantity::in_units,
    volume::Owner,
};

/// Where the parts of a container are on this machine.
pub(crate) struct Places<'a> {
    pub(crate) network: String,
    pub(crate) root: PathBuf,
    /// What is mounted for each volume.
    pub(crate) volumes: &'a BTreeMap<String, PathBuf>,
    /// The folder of the cgroup, and where the container sees it.
    pub(crate) cgroup: Option<(PathBuf, PathBuf)>,
    /// Whether a process can be another user.
    pub(crate) has_users: bool,
}

/// The capabilities that root has in a container, without `CAP_`.
const ROOT: [&str; 11] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The process of a container.
pub(crate) fn launch(
    container: &Container,
    facts: &Facts<'_>,
    images: &BTreeMap<String, Image>,
    places: &Places<'_>,
) -> Result<Launch, Refusal> {
    let name = container.image.as_deref().unwrap_or_default();
    let image = image(name, images)?;
    let own = container.security_context.clone().unwrap_or_default();
    let of_pod = security(facts.pod);
    let identity = identity(&own, &of_pod)?;
    let variables = variables(container, facts)?;

    let command = container.command.as_ref().filter(|command| !command.is_empty());
    let words = command.unwrap_or(&image.entrypoint).iter().chain(container.args.iter().flatten());
    let arguments: Vec<String> = words.map(|word| expand(word, &variables)).collect();
    if arguments.is_empty() {
        return Err(Refusal::config(format!("no command specified, and image {name:?} has none")));
    }

    let mut binds: Vec<Bind> = image.files.iter().map(|(to, from)| read_only(from, to)).collect();
    for mount in container.volume_mounts.iter().flatten() {
        let volume = places.volumes.get(&mount.name);
        let volume =
            volume.ok_or_else(|| Refusal::config(format!("mounts the volume {:?}, which is none", mount.name)))?;
        let below = match (&mount.sub_path, &mount.sub_path_expr) {
            (_, Some(path)) => expand(path, &variables),
            (Some(path), None) => path.clone(),
            (None, None) => String::new(),
        };
        let from = if below.is_empty() { volume.clone() } else { volume.join(below) };
        let is_read_only = mount.read_only == Some(true) || is_of_objects(facts.pod, &mount.name);
        binds.push(Bind { from, to: mount.mount_path.clone().into(), is_read_only });
    }
    binds.extend(places.cgroup.iter().map(|(folder, seen_at)| read_only(folder, seen_at)));

    let host = facts.pod.metadata.name.as_deref().unwrap_or_default();
    let texts = BTreeMap::from([
        ("/etc/hosts".into(), format!("127.0.0.1\tlocalhost\n{}\t{host}\n", facts.addresses.first())),
        ("/etc/hostname".into(), format!("{host}\n")),
        ("/etc/resolv.conf".into(), String::new()),
        ("/etc/passwd".into(), "root:x:0:0::/:\nnobody:x:65534:65534::/:\nnonroot:x:65532:65532::/:\n".into()),
        ("/etc/group".into(), "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n".into()),
    ]);
    Ok(Launch {
        network: places.network.clone(),
        root: places.root.clone(),
        texts,
        binds,
        root_is_read_only: own.read_only_root_filesystem == Some(true),
        cgroup: places.cgroup.clone().map(|(folder, _)| folder),
        capabilities: capabilities(&own, &identity, places.has_users),
        identity: places.has_users.then_some(identity),
        may_gain_privileges: own.allow_privilege_escalation != Some(false),
        folder: container.working_dir.clone().unwrap_or_else(|| "/".into()).into(),
        arguments,
        environment: variables.into_iter().collect(),
    })
}

/// The limit of a container's memory, in octets.
pub(crate) fn memory(container: &Container) -> Option<u64> {
    let limits = container.resources.as_ref()?.limits.as_ref()?;
    limits.get("memory").map(|quantity| in_units(quantity, None))
}

/// Who owns the volumes of a Pod.
pub(crate) fn owner(pod: &Pod) -> Owner {
    let of_pod = security(pod);
    let containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let mut users: Vec<_> = containers
        .map(|it| it.security_context.as_ref().and_then(|own| own.run_as_user).or(of_pod.run_as_user))
        .collect();
    users.dedup();
    let user = if let [Some(user)] = users[..] { u32::try_from(user).ok() } else { None };
    Owner { group: of_pod.fs_group.and_then(|group| u32::try_from(group).ok()), user }
}

/// The image of a name, whatever its registry, tag and digest are.
fn image<'a>(name: &str, images: &'a BTreeMap<String, Image>) -> Result<&'a Image, Refusal> {
    let last = name.rsplit('/').next().unwrap_or_default();
    let short = last.split(['@', ':']).next().unwrap_or_default();
    images.get(short).ok_or_else(|| {
        let known: Vec<_> = images.keys().map(String::as_str).collect();
        let known = known.join(", ");
        Refusal::new("ErrImagePull", format!("{name:?} is none of the images of this kubelet for tests: {known}"))
    })
}

fn security(pod: &Pod) -> PodSecurityContext {
    pod.spec.as_ref().and_then(|spec| spec.security_context.clone()).unwrap_or_default()
}

fn identity(own: &SecurityContext, of_pod: &PodSecurityContext) -> Result<Identity, Refusal> {
    let id = |id: Option<i64>| id.and_then(|id| u32::try_from(id).ok());
    let user = id(own.run_as_user.or(of_pod.run_as_user)).unwrap_or(0);
    let must_not_be_root = own.run_as_non_root.or(of_pod.run_as_non_root) == Some(true);
    if must_not_be_root && user == 0 {
        return Err(Refusal::config("container has runAsNonRoot and image will run as root"));
    }
    let group = id(own.run_as_group.or(of_pod.run_as_group)).unwrap_or(0);
    let groups = of_pod.supplemental_groups.iter().flatten().copied().chain(of_pod.fs_group);
    Ok(Identity { user, group, groups: groups.filter_map(|group| id(Some(group))).collect() })
}

fn capabilities(own: &SecurityContext, identity: &Identity, has_users: bool) -> Vec<String> {
    if own.privileged == Some(true) {
        return rustix::thread::CapabilitySet::all().iter_names().map(|(name, _)| name.into()).collect();
    }
    let lists = own.capabilities.clone().unwrap_or_default();
    let (add, drop) = (lists.add.unwrap_or_default(), lists.drop.unwrap_or_default());
    let is_root = identity.user == 0 || !has_users && drop.is_empty();
    let of_root = ROOT.iter().filter(|_| is_root && !drop.iter().any(|it| it == "ALL"));
    let mut kept: Vec<String> = of_root.map(ToString::to_string).filter(|name| !drop.contains(name)).collect();
    // As in containers that people run: what is added reaches root, and others by files alone.
    kept.extend(add.into_iter().filter(|name| identity.user == 0 && !kept.contains(name)).collect::<Vec<_>>());
    kept
}

/// Whether a volume shows objects, which no container may change.
fn is_of_objects(pod: &Pod, name: &str) -> bool {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let is = |it: &k8s_openapi::api::core::v1::Volume| {
        it.config_map.is_some() || it.secret.is_some() || it.projected.is_some() || it.downward_api.is_some()
    };
    volumes.filter(|volume| volume.name == name).any(is)
}

fn read_only(from: &Path, to: &Path) -> Bind {
    Bind { from: from.into(), to: to.into(), is_read_only: true }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        facts::{Data, Kind, Objects, Reference},
        network::Addresses,
    };

    /// Plans the first container of a Pod which refers to a Secret with the key `key`.
    fn plan(spec: &Value) -> Result<Launch, Refusal> {
        let pod = json!({ "metadata": { "name": "p", "namespace": "n", "labels": { "app": "a" } }, "spec": spec });
        let pod: Pod = serde_json::from_value(pod).expect("it is a Pod");
        let secret = Data::from([("key".into(), b"hidden".to_vec())]);
        let data = [(Reference { kind: Kind::Secret, name: "s".into() }, Some(secret))].into();
        let objects = Objects { data, ..Objects::default() };
        let addresses = Addresses { ipv4: [10, 244, 0, 9].into(), ipv6: None };
        let api = ([10, 96, 0, 1], 443).into();
        let facts = Facts { pod: &pod, objects: &objects, node: "node", addresses, api };
        let image = Image { entrypoint: vec!["/bindyd".into()], files: BTreeMap::new() };
        let volumes = [("v".into(), "/volumes/v".into())].into();
        let places =
            Places { network: String::new(), root: "/root".into(), volumes: &volumes, cgroup: None, has_users: true };
        let container = &pod.spec.as_ref().expect("it has one").containers[0];
        launch(container, &facts, &[("bindyd".into(), image)].into(), &places)
    }

    #[test]
    fn an_image_is_known_by_the_last_part_of_its_name() {
        for image in ["bindyd", "ghcr.io/firestoned/bindyd:v1", "localhost:5000/bindyd@sha256:00"] {
            let launch = plan(&json!({ "containers": [{ "name": "a", "image": image, "args": ["-g"] }] })).unwrap();
            assert_eq!(launch.arguments, ["/bindyd", "-g"], "{image}");
        }
        let refusal = plan(&json!({ "containers": [{ "name": "a", "image": "bindydx" }] })).unwrap_err();
        assert_eq!(refusal.reason, "ErrImagePull");
    }

    #[test]
    fn variables_come_from_fields_secrets_and_limits() {
        let env = json!([
            { "name": "IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
            { "name": "APP", "valueFrom": { "fieldRef": { "fieldPath": "metadata.labels['app']" } } },
            { "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "s", "key": "key" } } },
            { "name": "LIMIT", "valueFrom": { "resourceFieldRef": { "resource": "limits.memory", "divisor": "1Mi" } } },
            { "name": "ALL", "value": "$(IP) $(APP)" },
        ]);
        let resources = json!({ "limits": { "memory": "64Mi" } });
        let container = json!({ "name": "a", "image": "bindyd", "env": env, "resources": resources });
        let launch = plan(&json!({ "containers": [container] })).unwrap();
        for (name, value) in
            [("IP", "10.244.0.9"), ("APP", "a"), ("KEY", "hidden"), ("LIMIT", "64"), ("ALL", "10.244.0.9 a")]
        {
            assert!(launch.environment.contains(&(name.into(), value.into())), "{name}: {:?}", launch.environment);
        }
        let absent = json!([{ "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "s", "key": "other" } } }]);
        let container = json!({ "name": "a", "image": "bindyd", "env": absent });
        let refusal = plan(&json!({ "containers": [container] })).unwrap_err();
        assert_eq!(refusal, Refusal::config("couldn't find key other"));
    }

    #[test]
    fn a_restricted_container_keeps_nothing_and_root_keeps_what_is_usual() {
        let restricted = json!({
            "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65533,
            "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] }
        });
        let container = json!({ "name": "a", "image": "bindyd", "securityContext": restricted });
        let launch = plan(&json!({ "securityContext": { "fsGroup": 7 }, "containers": [container] })).unwrap();
        assert_eq!(launch.identity, Some(Identity { user: 65532, group: 65533, groups: vec![7] }));
        assert!(launch.capabilities.is_empty() && !launch.may_gain_privileges && launch.root_is_read_only);

        let root = plan(&json!({ "containers": [{ "name": "a", "image": "bindyd" }] })).unwrap();
        assert_eq!(root.capabilities, ROOT);
        let lists = json!({ "capabilities": { "drop": ["ALL"], "add": ["NET_BIND_SERVICE"] } });
        let container = json!({ "name": "a", "image": "bindyd", "securityContext": lists });
        let bound = plan(&json!({ "containers": [container] })).unwrap();
        assert_eq!(bound.capabilities, ["NET_BIND_SERVICE"]);
        let must_not = json!({ "name": "a", "image": "bindyd", "securityContext": { "runAsNonRoot": true } });
        assert!(plan(&json!({ "containers": [must_not] })).is_err());
    }

    #[test]
    fn volumes_are_mounted_where_and_as_they_are_asked_for() {
        let mounts = json!([
            { "name": "v", "mountPath": "/etc/bind" },
            { "name": "v", "mountPath": "/etc/bind/key", "subPath": "key", "readOnly": true },
        ]);
        let container = json!({ "name": "a", "image": "bindyd", "volumeMounts": mounts });
        let spec = |volume: Value| json!({ "containers": [container], "volumes": [volume] });
        let binds = |volume| plan(&spec(volume)).unwrap().binds;
        let bind = |from: &str, to: &str, is_read_only| Bind { from: from.into(), to: to.into(), is_read_only };
        let key = bind("/volumes/v/key", "/etc/bind/key", true);
        let empty = binds(json!({ "name": "v", "emptyDir": {} }));
        assert_eq!(empty, [bind("/volumes/v", "/etc/bind", false), key.clone()]);
        let secret = binds(json!({ "name": "v", "secret": { "secretName": "s" } }));
        assert_eq!(secret, [bind("/volumes/v", "/etc/bind", true), key]);
    }
}
