//! The user of `-u`: drops all of root's privileges except the capability to listen on ports below 1024, since
//! addresses may be added later.

use std::{fmt, fs, io};

use rustix::{
    process::{DumpableBehavior, Gid, Uid, geteuid, getgid, getuid, set_dumpable_behavior},
    thread::{
        CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities, set_thread_groups,
        set_thread_res_gid, set_thread_res_uid,
    },
};

/// A user of this machine.
#[derive(Debug, PartialEq, Eq)]
pub struct User {
    name: String,
    id: u32,
    group: u32,
    /// The supplementary groups.
    groups: Vec<u32>,
}

/// Why the process cannot run as a user.
#[derive(Debug)]
pub enum UserError {
    /// The user does not exist.
    Unknown(String),
    /// Only root can change the user.
    NotRoot(String),
    /// The system refused the change.
    Refused(String, io::Error),
}

impl User {
    /// Finds a user by name or number in `/etc/passwd` and `/etc/group`.
    pub fn find(name: &str) -> Result<User, UserError> {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        User::read(name, &read("/etc/passwd"), &read("/etc/group")).ok_or_else(|| UserError::Unknown(name.into()))
    }

    fn read(wanted: &str, users: &str, groups: &str) -> Option<User> {
        // As with named, a number is always a user ID, even if a user has that name.
        let column = if wanted.bytes().all(|octet| octet.is_ascii_digit()) { 2 } else { 0 };
        let user: Vec<&str> = users
            .lines()
            .map(|line| line.split(':').collect())
            .find(|user: &Vec<_>| user.get(column) == Some(&wanted))?;
        let [name, _, id, group, ..] = user[..] else { return None };
        let (id, group) = (id.parse().ok()?, group.parse().ok()?);
        let with_it = groups.lines().filter_map(|line| {
            let [_, _, number, members] = line.split(':').collect::<Vec<_>>()[..] else { return None };
            members.split(',').any(|member| member == name).then(|| number.parse().ok())?
        });
        let groups = with_it.filter(|&further| further != group).collect();
        Some(User { name: name.into(), id, group, groups })
    }

    /// The user ID.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The ID of the primary group.
    pub fn group(&self) -> u32 {
        self.group
    }

    /// Changes the user of this thread and of all threads started later.
    pub fn become_it(&self) -> Result<(), UserError> {
        if !geteuid().is_root() {
            let is_it = getuid().as_raw() == self.id && getgid().as_raw() == self.group;
            return if is_it { Ok(()) } else { Err(UserError::NotRoot(self.name.clone())) };
        }
        self.give_up_root().map_err(|error| UserError::Refused(self.name.clone(), error.into()))
    }

    fn give_up_root(&self) -> rustix::io::Result<()> {
        let (user, group) = (Uid::from_raw(self.id), Gid::from_raw(self.group));
        let groups: Vec<Gid> =
            std::iter::once(self.group).chain(self.groups.iter().copied()).map(Gid::from_raw).collect();
        set_thread_groups(&groups)?;
        set_thread_res_gid(group, group, group)?;
        set_keep_capabilities(true)?;
        set_thread_res_uid(user, user, user)?;
        let kept = capabilities(None)?.permitted & CapabilitySet::NET_BIND_SERVICE;
        let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
        set_capabilities(None, sets)?;
        set_keep_capabilities(false)?;
        // Otherwise root would own the files in /proc/self, and `/dev/stderr` could not be opened as a log file.
        set_dumpable_behavior(DumpableBehavior::Dumpable)
    }
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UserError::Unknown(name) => {
                write!(f, "user '{name}' unknown: /etc/passwd has no such user; make it, or name another with -u")
            }
            UserError::NotRoot(name) => {
                write!(f, "only root can run it as user '{name}': start it as root or as that user, or without -u")
            }
            UserError::Refused(name, error) => {
                write!(
                    f,
                    "cannot run as user '{name}': {error}; it takes the capabilities CAP_SETUID and CAP_SETGID, or start \
                     it as that user"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_by_name_or_number_with_their_groups() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\nbind:x:104:109::/var/cache/bind:/usr/sbin/nologin\n104:x:7:7:::\nodd\n";
        let groups = "root:x:0:\nbind:x:109:bind\nssl:x:110:www,bind\nother:x:111:binder\nodd\n";
        let bind = User { name: "bind".into(), id: 104, group: 109, groups: vec![110] };
        assert_eq!(User::read("bind", users, groups).as_ref(), Some(&bind));
        assert_eq!(User::read("104", users, groups).as_ref(), Some(&bind));
        assert_eq!(User::read("root", users, "").map(|user| user.id), Some(0));
        assert_eq!(User::read("odd", users, groups), None);
        assert_eq!(User::read("nobody", users, groups), None);
    }
}
