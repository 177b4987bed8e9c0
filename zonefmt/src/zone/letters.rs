//! Host names (RFC 952, RFC 1123 2.1) and mailboxes, as `check-names` defines them.

use crate::{
    NameRef, Rtype,
    rdata::{self, Letters},
};

/// Whether the owner and the names in the data of a record have only letters that the type allows, as `check-names`
/// demands.
pub fn has_fine_names(owner: NameRef<'_>, rtype: Rtype, data: &[u8]) -> bool {
    let owner_is_host = rdata::info(rtype).is_some_and(|row| row.owner_is_host);
    (!owner_is_host || owner_is_fine(owner)) && odd_name(owner, rtype, data).is_none()
}

/// Whether a record whose owner must be a host name may have this owner.
#[inline]
pub(super) fn owner_is_fine(owner: NameRef<'_>) -> bool {
    is_host(owner) || is_odd_but_fine(owner)
}

/// Of a wildcard, only the parent must be a host name. Windows domains look up their catalog servers at `gc._msdcs`.
#[cold]
fn is_odd_but_fine(owner: NameRef<'_>) -> bool {
    if owner.is_wildcard() {
        return owner.parent().is_some_and(is_host);
    }
    let mut labels = owner.labels();
    labels.next().is_some_and(|label| label.eq_ignore_ascii_case(b"gc"))
        && labels.next().is_some_and(|label| label.eq_ignore_ascii_case(b"_msdcs"))
        && owner.parent().and_then(NameRef::parent).is_some_and(is_host)
}

/// Whether the first label is a hash in base32hex (RFC 5155 3).
pub(super) fn is_hash(owner: NameRef<'_>) -> bool {
    let label = owner.labels().next().map(<[u8]>::to_ascii_uppercase);
    label.is_some_and(|label| data_encoding::BASE32HEX_NOPAD.decode(&label).is_ok())
}

/// The first name in the data that has letters which the type does not allow.
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

/// Whether each label has only letters and digits, and hyphens inside. The root is a host name too.
#[inline]
fn is_host(name: NameRef<'_>) -> bool {
    let wire = name.as_wire();
    let mut at = 0;
    while wire[at] != 0 {
        let label = &wire[at + 1..][..usize::from(wire[at])];
        let (first, last) = (label[0], label[label.len() - 1]);
        if first == b'-' || last == b'-' || !label.iter().all(|&octet| HOST[usize::from(octet)]) {
            return false;
        }
        at += 1 + label.len();
    }
    true
}

const HOST: [bool; 256] = {
    let mut host = [false; 256];
    let mut octet = 0_u8;
    while octet < 128 {
        host[octet as usize] = octet.is_ascii_alphanumeric() || octet == b'-';
        octet += 1;
    }
    host
};

/// Whether the first label has no blanks or control characters, and the rest is a host name.
fn is_mailbox(name: NameRef<'_>) -> bool {
    let Some(host) = name.parent() else { return true };
    name.labels().next().is_some_and(|label| label.iter().all(u8::is_ascii_graphic)) && is_host(host)
}

/// Whether the name is in one of the trees that map addresses to names.
fn is_reverse(name: NameRef<'_>) -> bool {
    const TREES: [&[u8]; 3] = [b"\x07in-addr\x04arpa\0", b"\x03ip6\x04arpa\0", b"\x03ip6\x03int\0"];
    TREES.iter().any(|tree| NameRef::from_wire(tree).is_ok_and(|tree| name.is_at_or_below(tree)))
}
