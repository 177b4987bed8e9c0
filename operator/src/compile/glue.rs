//! Which names of a zone are name servers, so that their addresses go out as glue wherever they stand.
//!
//! Whether an address may stay below a delegation depends on the NS records of the zone, and whether an NS record is
//! served depends on what lies below it. So a zone is merged twice: with the servers of all NS records that are said, and
//! then with those of the NS records that won. An NS record that is not served is thus no reason for glue.

use std::collections::BTreeMap;

use zonefmt::Name;

/// The names inside a zone that NS records point to, with how many do.
#[derive(Default)]
pub(super) struct Servers(BTreeMap<Name, usize>);

/// The name servers of the NS RRsets that won.
#[derive(Default)]
pub(super) struct Standing {
    by_owner: BTreeMap<Name, Vec<Name>>,
    servers: Servers,
}

impl Servers {
    /// Counts a name in; whether it is new.
    pub(super) fn add(&mut self, name: &Name) -> bool {
        let count = self.0.entry(name.clone()).or_default();
        *count += 1;
        *count == 1
    }

    /// Counts a name out; whether it was the last time.
    pub(super) fn remove(&mut self, name: &Name) -> bool {
        let Some(count) = self.0.get_mut(name) else { return false };
        *count -= 1;
        let last = *count == 0;
        if last {
            self.0.remove(name);
        }
        last
    }

    pub(super) fn has(&self, name: &Name) -> bool {
        self.0.contains_key(name)
    }
}

impl Standing {
    /// Notes which servers the NS RRset of a name has now, of no RRset none. Gives the names that became servers thereby,
    /// or are none any more.
    pub(super) fn put(&mut self, owner: &Name, servers: Vec<Name>) -> Vec<Name> {
        let new: Vec<Name> = servers.iter().filter(|server| self.servers.add(server)).cloned().collect();
        let former =
            if servers.is_empty() { self.by_owner.remove(owner) } else { self.by_owner.insert(owner.clone(), servers) };
        let mut changed: Vec<Name> =
            former.into_iter().flatten().filter(|server| self.servers.remove(server)).collect();
        changed.extend(new);
        changed
    }

    /// All of them.
    pub(super) fn servers(&self) -> &Servers {
        &self.servers
    }
}
