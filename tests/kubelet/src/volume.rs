//! What volumes show: files of objects and of facts, put in place all at once, or folders.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Pod, Volume, VolumeProjection};

use crate::facts::{Data, Facts, Kind, Needs, Reference, Refusal, Token};

/// What is mounted for a volume.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// Files, which follow what they are made of.
    Files(Files),
    /// A folder, empty at first, that goes with the Pod.
    Empty,
    /// A folder that outlives the Pod: that of a claim.
    Claim(String),
    /// A file or folder of the machine.
    Host(PathBuf),
}

/// Files by their paths below the volume, with their octets and modes.
pub(crate) type Files = BTreeMap<String, (Vec<u8>, u32)>;

/// Who owns the files of a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The group that may read, and write where a volume is for that.
    pub(crate) group: Option<u32>,
    /// The user of all containers, where it is one: without a group, tokens are the user's.
    pub(crate) user: Option<u32>,
}

/// The volumes of a Pod by their names.
pub(crate) fn sources(facts: &Facts<'_>, owner: Owner) -> Result<BTreeMap<String, Source>, Refusal> {
    let volumes = facts.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.map(|volume| Ok((volume.name.clone(), source(volume, facts, owner)?))).collect()
}

/// What volumes and variables refer to.
pub(crate) fn needs(pod: &Pod) -> Needs {
    let mut needs = Needs::default();
    let Some(spec) = &pod.spec else { return needs };
    let mut object = |kind, name: &str| needs.objects.insert(Reference { kind, name: name.into() });
    for container in spec.init_containers.iter().flatten().chain(&spec.containers) {
        for source in container.env_from.iter().flatten() {
            source.config_map_ref.iter().for_each(|it| _ = object(Kind::ConfigMap, &it.name));
            source.secret_ref.iter().for_each(|it| _ = object(Kind::Secret, &it.name));
        }
        for source in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
            source.config_map_key_ref.iter().for_each(|it| _ = object(Kind::ConfigMap, &it.name));
            source.secret_key_ref.iter().for_each(|it| _ = object(Kind::Secret, &it.name));
        }
    }
    for projection in spec.volumes.iter().flatten().flat_map(|volume| projections(volume).0) {
        projection.config_map.iter().for_each(|it| _ = object(Kind::ConfigMap, &it.name));
        projection.secret.iter().for_each(|it| _ = object(Kind::Secret, &it.name));
        needs.tokens.extend(token(&projection));
    }
    needs
}

/// The files of a volume as projections with a mode: a ConfigMap alone is a projection of one.
fn projections(volume: &Volume) -> (Vec<VolumeProjection>, Option<i32>) {
    use k8s_openapi::api::core::v1::{ConfigMapProjection, DownwardAPIProjection, SecretProjection};
    let one = |projection, mode| (vec![projection], mode);
    if let Some(it) = volume.config_map.clone() {
        let config_map = ConfigMapProjection { items: it.items, name: it.name, optional: it.optional };
        one(VolumeProjection { config_map: Some(config_map), ..VolumeProjection::default() }, it.default_mode)
    } else if let Some(it) = volume.secret.clone() {
        let name = it.secret_name.unwrap_or_default();
        let secret = SecretProjection { items: it.items, name, optional: it.optional };
        one(VolumeProjection { secret: Some(secret), ..VolumeProjection::default() }, it.default_mode)
    } else if let Some(it) = volume.downward_api.clone() {
        let downward = DownwardAPIProjection { items: it.items };
        one(VolumeProjection { downward_api: Some(downward), ..VolumeProjection::default() }, it.default_mode)
    } else if let Some(it) = volume.projected.clone() {
        (it.sources.unwrap_or_default(), it.default_mode)
    } else {
        (Vec::new(), None)
    }
}

fn source(volume: &Volume, facts: &Facts<'_>, owner: Owner) -> Result<Source, Refusal> {
    if let Some(claim) = &volume.persistent_volume_claim {
        return Ok(Source::Claim(claim.claim_name.clone()));
    }
    if let Some(host) = &volume.host_path {
        return Ok(Source::Host(host.path.clone().into()));
    }
    if volume.empty_dir.is_some() {
        return Ok(Source::Empty);
    }
    let (projections, mode) = projections(volume);
    if projections.is_empty() && volume.projected.is_none() {
        return Err(Refusal::config(format!("volume {}: of a kind that this kubelet does not know", volume.name)));
    }
    let mode = mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0o644);
    let mut files = Files::new();
    for projection in &projections {
        project(projection, mode, facts, owner, &mut files)?;
    }
    if owner.group.is_some() {
        // Of a group that has a share in the volume, everybody may read.
        for (_, mode) in files.values_mut() {
            *mode |= 0o440;
        }
    }
    Ok(Source::Files(files))
}

fn project(
    projection: &VolumeProjection,
    mode: u32,
    facts: &Facts<'_>,
    owner: Owner,
    files: &mut Files,
) -> Result<(), Refusal> {
    if let Some(it) = &projection.config_map {
        let data = facts.data(Kind::ConfigMap, &it.name, it.optional)?;
        keys(data, it.items.as_deref(), it.optional, mode, files)?;
    }
    if let Some(it) = &projection.secret {
        let data = facts.data(Kind::Secret, &it.name, it.optional)?;
        keys(data, it.items.as_deref(), it.optional, mode, files)?;
    }
    for file in projection.downward_api.iter().flat_map(|it| it.items.iter().flatten()) {
        files.insert(file.path.clone(), (downward(file, facts)?, own_mode(file.mode, mode)));
    }
    if let (Some(it), Some(key)) = (&projection.service_account_token, token(projection)) {
        let token = facts.objects.tokens.get(&key);
        let token = token.ok_or_else(|| Refusal::new("ContainerCreating", "a token was not issued yet"))?;
        let mode = if owner.group.is_none() && owner.user.is_some() { 0o600 } else { mode };
        files.insert(it.path.clone(), (token.clone().into_bytes(), mode));
    }
    if projection.cluster_trust_bundle.is_some() || projection.pod_certificate.is_some() {
        return Err(Refusal::config("this kubelet has no trust bundles and no certificates of Pods"));
    }
    Ok(())
}

fn token(projection: &VolumeProjection) -> Option<Token> {
    let it = projection.service_account_token.as_ref()?;
    let audience = it.audience.clone().filter(|audience| !audience.is_empty());
    Some(Token { audience, seconds: it.expiration_seconds.unwrap_or(3600) })
}

fn keys(
    data: Option<&Data>,
    items: Option<&[KeyToPath]>,
    is_optional: Option<bool>,
    mode: u32,
    files: &mut Files,
) -> Result<(), Refusal> {
    let Some(data) = data else { return Ok(()) };
    let Some(items) = items else {
        files.extend(data.iter().map(|(key, value)| (key.clone(), (value.clone(), mode))));
        return Ok(());
    };
    for item in items {
        match data.get(&item.key) {
            Some(value) => {
                files.insert(item.path.clone(), (value.clone(), own_mode(item.mode, mode)));
            }
            None if is_optional == Some(true) => {}
            None => return Err(Refusal::config(format!("references non-existent key: {}", item.key))),
        }
    }
    Ok(())
}

fn downward(file: &DownwardAPIVolumeFile, facts: &Facts<'_>) -> Result<Vec<u8>, Refusal> {
    if let Some(field) = &file.field_ref {
        return facts.field(field).map(String::into_bytes);
    }
    let Some(field) = &file.resource_field_ref else { return Ok(Vec::new()) };
    facts.resource(None, field).map(|number| number.to_string().into_bytes())
}

fn own_mode(mode: Option<i32>, of_volume: u32) -> u32 {
    mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(of_volume)
}

/// The link to the files that are seen now.
const NOW: &str = "..data";

/// Shows files in a folder, as kubelets do: the files lie in a folder of their own, `..data` is a link to it that is
/// replaced at once, and each name at the top is a link through that. Does nothing where the files are seen already.
pub(crate) fn show(folder: &Path, files: &Files, owner: Owner) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    let before = fs::read_link(folder.join(NOW)).ok();
    if before.as_ref().is_some_and(|before| same(&folder.join(before), files)) {
        return Ok(());
    }
    let number = before.as_ref().and_then(|before| before.to_str()?.strip_prefix("..")?.parse::<u64>().ok());
    let new = format!("..{}", number.unwrap_or(0) + 1);
    for (path, (octets, mode)) in files {
        let path = folder.join(&new).join(path);
        fs::create_dir_all(path.parent().expect("it is below the folder"))?;
        fs::write(&path, octets)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
        let user = (*mode == 0o600).then_some(owner.user).flatten();
        if owner.group.is_some() || user.is_some() {
            chown(&path, user, owner.group)?;
        }
    }
    fs::create_dir_all(folder.join(&new))?;
    let link = folder.join("..data_tmp");
    symlink(&new, &link)?;
    fs::rename(&link, folder.join(NOW))?;
    let tops: BTreeSet<&str> = files.keys().filter_map(|path| path.split('/').next()).collect();
    for top in &tops {
        if fs::symlink_metadata(folder.join(top)).is_err() {
            symlink(Path::new(NOW).join(top), folder.join(top))?;
        }
    }
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if name.to_str().is_none_or(|name| !name.starts_with("..") && !tops.contains(name)) {
            fs::remove_file(folder.join(name))?;
        }
    }
    before.map_or(Ok(()), |before| fs::remove_dir_all(folder.join(before)))
}

/// Whether a folder has these files, with these octets.
fn same(folder: &Path, files: &Files) -> bool {
    fn count(folder: &Path) -> usize {
        let entries = fs::read_dir(folder).into_iter().flatten().map_while(Result::ok);
        entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
    }
    count(folder) == files.len()
        && files.iter().all(|(path, (octets, _))| fs::read(folder.join(path)).is_ok_and(|it| it == *octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_all_at_once_and_the_old_ones_go() {
        let folder = std::env::temp_dir().join(format!("bindy-volume-{}", std::process::id()));
        let files = |text: &str, names: &[&str]| -> Files {
            names.iter().map(|name| ((*name).into(), (text.as_bytes().to_vec(), 0o644))).collect()
        };
        show(&folder, &files("old", &["a", "b/c"]), Owner::default()).unwrap();
        let first = fs::read_link(folder.join("..data")).unwrap();
        show(&folder, &files("old", &["a", "b/c"]), Owner::default()).unwrap();
        assert_eq!(fs::read_link(folder.join("..data")).unwrap(), first, "nothing has changed");
        show(&folder, &files("new", &["a", "d"]), Owner::default()).unwrap();
        assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), "new");
        assert_eq!(fs::read_to_string(folder.join("d")).unwrap(), "new");
        assert!(fs::symlink_metadata(folder.join("b")).is_err());
        assert!(!folder.join(first).exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
