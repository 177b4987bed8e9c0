//! The names of a zone that are name servers, whose addresses are served as glue wherever they are.
//!
//! Whether an address may stay below a delegation depends on the zone's NS records, and whether an NS record is served
//! depends on the data below it. So a zone is merged twice: first with the servers of all NS records that are declared,
//! and then with those of the NS records that won. An NS record that is not served therefore makes no glue.

use std::collections::BTreeMap;

use zonefmt::{Name, NameRef};

/// The names inside a zone that NS records point to, and the number of records that point to each.
#[derive(Default)]
pub(super) struct Servers(BTreeMap<Name, usize>);

/// The name servers of the NS RRsets that won.
#[derive(Default)]
pub(super) struct Standing {
    by_owner: BTreeMap<Name, Vec<Name>>,
    servers: Servers,
}

/// The names inside a zone that NS records point to.
pub(super) fn servers_in<'r>(rdatas: impl IntoIterator<Item = &'r [u8]>, origin: &Name) -> Vec<Name> {
    let names = rdatas.into_iter().filter_map(|rdata| NameRef::from_wire(rdata).ok());
    names.filter(|name| name.is_at_or_below(origin.as_ref())).map(NameRef::to_owned).collect()
}

impl Servers {
    /// Adds a reference to a name. Returns whether it is the first.
    pub(super) fn add(&mut self, name: &Name) -> bool {
        let count = self.0.entry(name.clone()).or_default();
        *count += 1;
        *count == 1
    }

    /// Removes a reference to a name. Returns whether it was the last.
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
    /// Sets the servers of the NS RRset at a name; none if there is no such RRset. Returns the names that became
    /// servers, or are no longer servers.
    pub(super) fn put(&mut self, owner: &Name, servers: Vec<Name>) -> Vec<Name> {
        let new: Vec<Name> = servers.iter().filter(|server| self.servers.add(server)).cloned().collect();
        let former =
            if servers.is_empty() { self.by_owner.remove(owner) } else { self.by_owner.insert(owner.clone(), servers) };
        let mut changed: Vec<Name> =
            former.into_iter().flatten().filter(|server| self.servers.remove(server)).collect();
        changed.extend(new);
        changed
    }

    /// The servers of all these RRsets.
    pub(super) fn servers(&self) -> &Servers {
        &self.servers
    }
}
