//! The verdict on a resource, in words that say what to do.

use std::fmt;

use zonefmt::Name;

use crate::api::Kind;

/// The verdict on one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The zones that serve the resource. For a DNSZone this is the zone itself.
    pub served: Vec<Name>,
    /// Errors in the resource, and warnings about it.
    pub findings: Vec<Finding>,
}

/// An error in a resource, or a warning about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The reason, for programs.
    pub reason: Reason,
    /// The zone that the finding is about; `None` if it is about all zones.
    pub zone: Option<Name>,
    /// The field at fault, as a path below `spec`; empty if it is not a single field.
    pub path: String,
    /// What is wrong and what to do, for people: a sentence without its full stop.
    pub message: String,
}

/// Declares the reasons: name, whether the resource is served, meaning, remedy.
macro_rules! reasons {
    ($($reason:ident, $effect:ident: $meaning:literal, $remedy:literal;)*) => {
        /// The reasons. A resource with a [loss](Reason::is_loss) is not served, or not by the zone that the finding
        /// names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $(#[doc = $meaning] $reason,)* }

        impl Reason {
            /// All reasons.
            pub const ALL: &[Reason] = &[$(Reason::$reason,)*];

            /// The name of the reason in conditions, events and reports.
            pub fn name(self) -> &'static str {
                match self { $(Reason::$reason => stringify!($reason),)* }
            }

            /// Whether the resource, or its data in a zone, is not served.
            pub fn is_loss(self) -> bool {
                match self { $(Reason::$reason => reasons!(@ $effect),)* }
            }

            /// What the reason means.
            pub fn meaning(self) -> &'static str {
                match self { $(Reason::$reason => $meaning,)* }
            }

            /// What to do about it.
            pub fn remedy(self) -> &'static str {
                match self { $(Reason::$reason => $remedy,)* }
            }
        }
    };
    (@ lost) => { true };
    (@ served) => { false };
}

reasons! {
    NotSelected, lost: "No zone of the record's namespace selects it.",
        "Give it the labels that `recordsFrom` of its zone asks for, give the zone a `recordsFrom`, or move the record to the zone's namespace.";
    ZoneNotServed, lost: "The zone that selects the record, or may select it, is not served itself.",
        "Fix what the zone's own reason names.";
    DuplicateZone, lost: "An older zone has the same name.",
        "Remove one of the two; the older one is served until then.";
    InvalidZone, lost: "A field of a zone cannot be read.",
        "Fix the field that the message names.";
    InvalidRecord, lost: "A field of a record cannot be read, or no resource may have records of its type.",
        "Fix the field that the message names.";
    InvalidServer, lost: "A field of a provider, cluster or instance cannot be read, or names an undefined list of `acls` or a ConfigMap that is not there.",
        "Fix the field that the message names.";
    OutOfZone, lost: "The record's owner is neither the zone's name nor below it.",
        "Write a name relative to the zone, or one that ends in the zone's name and a dot.";
    CnameConflict, lost: "A name has a CNAME and other data, or two CNAMEs (RFC 1034 3.6.2, RFC 2181 10.1).",
        "Keep the CNAME or the other data, not both.";
    DnameConflict, lost: "A name has two DNAMEs (RFC 6672 2.4).",
        "Keep one of them.";
    DelegationConflict, lost: "A delegation or a DNAME would hide other data (RFC 1034 4.2.1, RFC 6672 2.3).",
        "Move the data into the delegated zone, or remove the delegation. Addresses of name servers may stay.";
    WildcardDelegation, lost: "The owner of an NS record is a wildcard, which delegates nothing (RFC 4592 4.2).",
        "Write an NSRecord for each delegated name.";
    TooLarge, lost: "The RRset does not fit into a response, which has up to 65,535 octets.",
        "Spread the records over more names.";
    RepeatedZoneName, served: "The owner has the zone's name twice. It is served, but was probably not meant.",
        "End an absolute name with a dot, or leave the zone's name out.";
    TtlOverridden, served: "The RRset has the TTL of an older resource, because all its records share one TTL (RFC 2181 5.2).",
        "Write the same `ttl` in all resources of the RRset.";
    ServerWithoutAddress, served: "A name server inside the zone has no address, so it cannot be reached.",
        "Give it an address under `nameServers`, or add an ARecord or AAAARecord.";
    UnusualName, served: "A name is not a valid host name (RFC 1123 2.1), or is an address, or has a `*` inside (RFC 4592 2.1.1).",
        "Write a host name of letters, digits and hyphens.";
    UnusableTarget, served: "A host in NS, MX or SRV has no address in the zone, is an alias (RFC 2181 10.3), or lacks glue (RFC 9471).",
        "Add its address, or name another host.";
    HiddenByZone, served: "Another zone below has the owner, and is not delegated. Servers of both zones answer from that one.",
        "Let the zone below select the record, and delegate it by an NSRecord.";
    DanglingReference, served: "A `clusterRef`, `clusterProviderRef` or `bind9InstancesFrom` refers to no server or cluster here.",
        "Declare what it refers to, or correct the name. If it is declared elsewhere, nothing is wrong.";
    KeyNotUsable, served: "`dynamic` names a key that cannot be used, so that it is allowed nothing.",
        "Create or mend the Secret that the message names.";
    InvalidRule, served: "A rule of `dynamic` cannot be read, so that it allows nothing.",
        "Fix the field that the message names.";
    NotSigned, served: "The zone asks for signing, but is served unsigned.",
        "Do not publish a DS for the zone.";
    FormerSpelling, served: "A field is written in a former spelling. It is read as what it meant.",
        "Write what the message says, as in [api.md](api.md#former-spellings).";
    NoEffect, served: "A field has no effect, for example `recursion: true`: servers answer for their own zones only.",
        "Remove it, or write what the message says.";
}

impl Reason {
    /// The reason for a resource of this kind with a field that cannot be read.
    pub fn unreadable(kind: Kind) -> Reason {
        match kind {
            Kind::Zone => Reason::InvalidZone,
            Kind::Record(_) => Reason::InvalidRecord,
            Kind::Infrastructure(_) => Reason::InvalidServer,
        }
    }
}

impl Finding {
    /// The field at fault, as a path from the top of the resource.
    pub fn spec_path(&self) -> String {
        if self.path.is_empty() { "spec".into() } else { format!("spec.{}", self.path) }
    }
}

impl Verdict {
    /// Whether any part of the resource is not served.
    pub fn is_loss(&self) -> bool {
        self.findings.iter().any(|finding| finding.reason.is_loss())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn the_page_lists_every_reason() {
        let mut page = String::from(include_str!("reasons.md"));
        for reason in Reason::ALL {
            let served = if reason.is_loss() { "no" } else { "yes" };
            writeln!(page, "| `{reason}` | {served} | {} | {} |", reason.meaning(), reason.remedy()).unwrap();
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reasons.md");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let current = std::fs::read_to_string(path).unwrap_or_default();
        assert!(page == current, "docs/reasons.md is not what the list says: run this with BLESS=1");
    }
}
