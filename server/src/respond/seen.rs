//! What a request may see of the server: the first view whose `match-…` statements it meets.

use zonefmt::Class;

use crate::{
    access::Requester,
    answer::Outcome,
    listen::Client,
    tsig::Signature,
    wire::{Ede, Rcode, request::Request},
    zones::{Membership, Snapshot, View},
};

/// The view that a request belongs to, and what its signature is worth there.
pub(super) struct Seen<'s> {
    /// The view to answer from, or the error to respond with instead.
    pub(super) view: Result<&'s View, Outcome>,
    pub(super) signature: Signature<'s>,
}

impl<'s> Seen<'s> {
    /// What a request sees at this time, in seconds since 1970.
    pub(super) fn by(request: &Request<'_>, client: &Client, snapshot: &'s Snapshot, now: u64) -> Seen<'s> {
        let views = match request.question.qclass {
            Class::IN | Class::ANY => &*snapshot.views,
            Class::CH => std::slice::from_ref(&snapshot.chaos),
            Class(0) | Class::NONE => return Seen::nothing(Rcode::FORMERR, None),
            _ => return Seen::nothing(Rcode::REFUSED, Some(Ede::NotAuthoritative)),
        };
        let mut proven = Signature::None;
        for view in views {
            // Views have keys of their own, even of the same name: a signature may be valid in one and not in the next.
            let signature = match &request.tsig {
                Some(tsig) => view.keys.verify(tsig, now),
                None => Signature::None,
            };
            if belongs(request, client, &signature, &view.membership) {
                return Seen { view: Ok(view), signature };
            }
            if proven.key().is_none() {
                proven = signature;
            }
        }
        // The refusal is signed if any view knows the key (RFC 8945 5.3).
        Seen { signature: proven, ..Seen::nothing(Rcode::REFUSED, Some(Ede::Prohibited)) }
    }

    /// Nothing to be seen but an error.
    pub(super) fn nothing(rcode: Rcode, ede: Option<Ede>) -> Seen<'s> {
        Seen { view: Err(Outcome::error(rcode, ede)), signature: Signature::None }
    }
}

fn belongs(request: &Request<'_>, client: &Client, signature: &Signature<'_>, membership: &Membership) -> bool {
    let Membership { clients, destinations, recursive_only } = membership;
    let key = signature.key();
    clients.allows(Requester { addr: client.addr.ip(), key })
        && destinations.allows(Requester { addr: client.local.ip(), key })
        && (!recursive_only || request.header.recursion_desired())
}
