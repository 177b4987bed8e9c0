//! Host names (RFC 952, RFC 1123 2.1) and mailboxes: what `check-names` looks at.

use crate::{
    NameRef, Rtype,
    rdata::{self, Letters},
};

/// Whether a record of this type may have this owner.
pub(super) fn owner_is_fine(owner: NameRef<'_>, rtype: Rtype) -> bool {
    let host = rdata::info(rtype).is_some_and(|info| info.owner_is_host);
    // Windows domains look their catalog servers up at this name.
    !host || is_host(if owner.is_wildcard() { owner.parent().unwrap_or(owner) } else { owner }) || {
        let mut labels = owner.labels();
        labels.next().is_some_and(|label| label.eq_ignore_ascii_case(b"gc"))
            && labels.next().is_some_and(|label| label.eq_ignore_ascii_case(b"_msdcs"))
            && owner.parent().and_then(NameRef::parent).is_some_and(is_host)
    }
}

/// The first name in the data whose letters are not what the type demands.
pub(super) fn odd_name<'r>(owner: NameRef<'_>, rtype: Rtype, data: &'r [u8]) -> Option<NameRef<'r>> {
    rdata::names(rtype, data).find_map(|name| {
        let found = NameRef::from_wire(data.get(name.range)?).ok()?;
        let fine = match name.letters {
            Letters::Any => true,
            Letters::Host => is_host(found),
            Letters::HostInReverse => is_host(found) || !is_reverse(owner),
            Letters::Mailbox => is_mailbox(found),
        };
        (!fine).then_some(found)
    })
}

/// Letters, digits, and hyphens inside; the root, too.
fn is_host(name: NameRef<'_>) -> bool {
    name.labels().all(|label| {
        let edge = |octet: Option<&u8>| octet.is_some_and(u8::is_ascii_alphanumeric);
        edge(label.first()) && edge(label.last()) && label.iter().all(|&o| o.is_ascii_alphanumeric() || o == b'-')
    })
}

/// A first label without blanks and control characters, and a host.
fn is_mailbox(name: NameRef<'_>) -> bool {
    let Some(host) = name.parent() else { return true };
    name.labels().next().is_some_and(|label| label.iter().all(u8::is_ascii_graphic)) && is_host(host)
}

/// Whether the name lies in the trees that map addresses to names.
fn is_reverse(name: NameRef<'_>) -> bool {
    const TREES: [&[u8]; 3] = [b"\x07in-addr\x04arpa\0", b"\x03ip6\x04arpa\0", b"\x03ip6\x03int\0"];
    TREES.iter().any(|tree| NameRef::from_wire(tree).is_ok_and(|tree| name.is_at_or_below(tree)))
}
