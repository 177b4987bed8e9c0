//! What the process of a container does before it becomes the container's program: it moves into the Pod's network and
//! the container's cgroup, builds a root folder, gives up what the container may not have, and executes.
//!
//! It starts in a mount namespace of its own, so that nothing of it is seen outside, nor has to be removed.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::{fs::symlink, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::{
    fs::{Gid, Mode, Uid, mkdir, statvfs},
    mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_remount, unmount},
    process::{chdir, pivot_root, umask},
    thread::{
        CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
        set_thread_gid, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    },
};
use serde::{Deserialize, Serialize};

use crate::network::move_into;

/// A container as a process.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Launch {
    /// The file of the Pod's network namespace.
    pub(crate) network: String,
    /// An empty folder, on which the root folder is built.
    pub(crate) root: PathBuf,
    /// Files with their contents, in the root folder.
    pub(crate) texts: BTreeMap<PathBuf, String>,
    pub(crate) binds: Vec<Bind>,
    pub(crate) root_is_read_only: bool,
    /// The folder of the cgroup, where there is one.
    pub(crate) cgroup: Option<PathBuf>,
    /// `None` where the machine has no other users than one's own.
    pub(crate) identity: Option<Identity>,
    /// The names of the capabilities that stay, without `CAP_`.
    pub(crate) capabilities: Vec<String>,
    pub(crate) may_gain_privileges: bool,
    /// Where the program starts.
    pub(crate) folder: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

/// A file or folder that is seen at another place.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Bind {
    pub(crate) from: PathBuf,
    /// In the root folder.
    pub(crate) to: PathBuf,
    pub(crate) is_read_only: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Identity {
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) groups: Vec<u32>,
}

/// Becomes the container; returns only if that fails.
pub(crate) fn become_container(launch: &Launch) -> Result<(), String> {
    if let Some(cgroup) = &launch.cgroup {
        let file = cgroup.join("cgroup.procs");
        fs::write(&file, "0").map_err(|error| format!("{}: {error}", file.display()))?;
    }
    move_into(&launch.network).map_err(|error| format!("{}: {error}", launch.network))?;
    build_root(launch)?;
    restrict(launch).map_err(|error| format!("user and capabilities: {error}"))?;
    let [program, arguments @ ..] = &launch.arguments[..] else { return Err("there is no command".into()) };
    let error = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .exec();
    Err(format!("exec {program}: {error}"))
}

/// What every program expects under `/dev`.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Where the shared libraries of this machine are.
const LIBRARIES: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];

fn build_root(launch: &Launch) -> Result<(), String> {
    let root = &launch.root;
    umask(Mode::empty());
    at("a root folder", mount("tmpfs", root, "tmpfs", MountFlags::NOSUID, None))?;
    for (folder, mode) in [("tmp", 0o1777), ("dev", 0o755), ("dev/shm", 0o1777), ("proc", 0o555), ("etc", 0o755)] {
        at(folder, mkdir(root.join(folder), Mode::from_raw_mode(mode)))?;
    }
    for device in DEVICES.map(|name| Path::new("/dev").join(name)) {
        bind(root, &Bind { from: device.clone(), to: device, is_read_only: false })?;
    }
    for (to, from) in [("fd", "/proc/self/fd"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")] {
        symlink(from, root.join("dev").join(to)).map_err(|error| format!("/dev/{to}: {error}"))?;
    }
    at("/proc", mount_bind_recursive("/proc", root.join("proc")))?;
    for library in LIBRARIES.map(PathBuf::from).into_iter().filter(|path| path.is_dir()) {
        bind(root, &Bind { from: library.clone(), to: library, is_read_only: true })?;
    }
    for (path, text) in &launch.texts {
        let path = below(root, path);
        make_folder(path.parent().expect("it is below the root"))?;
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    for it in &launch.binds {
        bind(root, it)?;
    }
    make_folder(&below(root, &launch.folder))?;
    if launch.root_is_read_only {
        set_read_only(root)?;
    }
    at("the root folder", chdir(root))?;
    // The old root comes to lie on the new one, and goes.
    at("the root folder", pivot_root(".", "."))?;
    at("the old root folder", unmount(".", UnmountFlags::DETACH))?;
    at(launch.folder.display(), chdir(&launch.folder))
}

fn bind(root: &Path, it: &Bind) -> Result<(), String> {
    let to = below(root, &it.to);
    if it.from.is_dir() {
        make_folder(&to)?;
    } else if !to.exists() {
        make_folder(to.parent().expect("it is below the root"))?;
        fs::write(&to, "").map_err(|error| format!("{}: {error}", to.display()))?;
    }
    at(it.from.display(), mount_bind(&it.from, &to))?;
    if it.is_read_only { set_read_only(&to) } else { Ok(()) }
}

/// Makes a mount read-only. What else holds for it stays: in a user namespace nothing of that may be given up.
fn set_read_only(path: &Path) -> Result<(), String> {
    let flags = at(path.display(), statvfs(path))?.f_flag.bits();
    let kept = MountFlags::from_bits_truncate(u32::try_from(flags).unwrap_or(0))
        & (MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME | MountFlags::NODIRATIME);
    let relative = if flags & 4096 == 0 { MountFlags::empty() } else { MountFlags::RELATIME };
    at(path.display(), mount_remount(path, kept | relative | MountFlags::BIND | MountFlags::RDONLY, ""))
}

fn make_folder(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(path);
    made.map_err(|error| format!("{}: {error}", path.display()))
}

/// The place of a path of the container, as it is before the container's root is the root.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn restrict(launch: &Launch) -> io::Result<()> {
    umask(Mode::from_raw_mode(0o022));
    let mut kept = CapabilitySet::empty();
    for (name, capability) in CapabilitySet::all().iter_names() {
        if launch.capabilities.iter().any(|it| it == name) {
            kept |= capability;
        } else {
            match remove_capability_from_bounding_set(capability) {
                // An older kernel does not know it.
                Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    if let Some(Identity { user, group, groups }) = &launch.identity {
        let groups: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
        set_thread_groups(&groups)?;
        let group = Gid::from_raw(*group);
        set_thread_gid(group)?;
        set_thread_res_gid(group, group, group)?;
        let user = Uid::from_raw(*user);
        set_thread_res_uid(user, user, user)?;
    }
    // For any user but root there are none left now, and programs get none from files that do not give them.
    if launch.identity.as_ref().is_none_or(|identity| identity.user == 0) {
        set_capabilities(
            None,
            CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() },
        )?;
    }
    if !launch.may_gain_privileges {
        set_no_new_privs(true)?;
    }
    Ok(())
}

fn at<T>(place: impl std::fmt::Display, result: rustix::io::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{place}: {error}"))
}
