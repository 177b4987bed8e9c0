//! What this machine allows a kubelet to do, which depends on who started it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bindy_kubelet::Machine;

/// The user whom Pods ask for most, as one who may or may not be here.
const NOBODY: u32 = 65_534;

/// The cgroups of this kubelet's containers.
pub(crate) struct Cgroups {
    /// The file for a limit, which depends on the version of cgroups.
    limit: &'static str,
    /// The file that counts who was killed, the line's name in it.
    killed: (&'static str, &'static str),
    /// Where a container looks for its cgroup.
    seen_at: &'static str,
    folder: PathBuf,
}

pub(crate) fn machine(cgroups: Option<&Cgroups>) -> Machine {
    Machine { users: has_user(NOBODY), memory: cgroups.is_some() }
}

/// Whether a process here can be this user.
fn has_user(user: u32) -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map_while(|word| word.parse::<u64>().ok());
        let (Some(first), Some(_), Some(count)) = (numbers.next(), numbers.next(), numbers.next()) else {
            return false;
        };
        (first..first + count).contains(&user.into())
    })
}

impl Cgroups {
    /// Makes a folder of this name, where this process may limit memory.
    pub(crate) fn new(name: &str) -> Option<Cgroups> {
        let second = |root: &str| {
            let controllers = fs::read_to_string(Path::new(root).join("cgroup.subtree_control")).unwrap_or_default();
            controllers.split_whitespace().any(|it| it == "memory").then(|| PathBuf::from(root))
        };
        if let Some(root) = second("/sys/fs/cgroup") {
            let folder = root.join(name);
            fs::create_dir(&folder).ok()?;
            fs::write(folder.join("cgroup.subtree_control"), "+memory").ok()?;
            let killed = ("memory.events", "oom_kill");
            return Some(Cgroups { limit: "memory.max", killed, seen_at: "/sys/fs/cgroup", folder });
        }
        let folder = Path::new("/sys/fs/cgroup/memory").join(name);
        fs::create_dir(&folder).ok()?;
        let killed = ("memory.oom_control", "oom_kill");
        Some(Cgroups { limit: "memory.limit_in_bytes", killed, seen_at: "/sys/fs/cgroup/memory", folder })
    }

    /// Makes the cgroup of a container, with a limit in octets; returns its folder, and where the container sees it.
    pub(crate) fn limit(&self, container: &str, octets: Option<u64>) -> io::Result<(PathBuf, PathBuf)> {
        let folder = self.folder.join(container);
        fs::create_dir_all(&folder)?;
        if let Some(octets) = octets {
            fs::write(folder.join(self.limit), octets.to_string())?;
        }
        Ok((folder, self.seen_at.into()))
    }

    /// How many processes of a container were killed because of its limit.
    pub(crate) fn killed(&self, container: &str) -> u64 {
        let (file, name) = self.killed;
        let text = fs::read_to_string(self.folder.join(container).join(file)).unwrap_or_default();
        let counts = text.lines().filter_map(|line| line.split_once(' '));
        counts.filter(|(it, _)| *it == name).find_map(|(_, count)| count.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn remove(&self, container: &str) {
        // What is left when a process has not ended yet goes with the kubelet.
        let _ = fs::remove_dir(self.folder.join(container));
    }
}
