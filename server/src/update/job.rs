//! An update that waits for its turn, what becomes of it, and the reply that says so.

use jiff::Timestamp;
use tracing::info;

use super::{Refusal, observers::Observers, service::Admitted};
use crate::{
    Rcode,
    listen::Later,
    live::Failure,
    stats::{Sent, Stat},
    tsig,
    wire::Ede,
};

/// An update that waits.
pub(super) struct Job {
    pub(super) update: Admitted,
    pub(super) reply: Reply,
    pub(super) way: Later,
}

/// The reply to an update.
pub(crate) struct Reply {
    /// A message with the zone section and the OPT, and response code NOERROR.
    pub(crate) message: Vec<u8>,
    /// Where its OPT begins, which is its last record, if it has one.
    pub(crate) opt: Option<usize>,
    /// The most octets that it may have without its signature.
    pub(crate) room: usize,
    /// What signs it.
    pub(crate) signature: Option<tsig::Chain>,
    /// When the update came, if the reply is to be tapped.
    pub(crate) tapped: Option<Timestamp>,
}

/// What became of an update.
#[derive(Clone)]
pub(super) enum End {
    /// It was made, or there was nothing to do.
    Made,
    /// Its client may not make it, or it has no form.
    Refused(Fault),
    /// It could not be made.
    Failed(Fault),
}

/// Why an update changes nothing.
#[derive(Clone)]
pub(super) struct Fault {
    rcode: Rcode,
    why: String,
    /// What clients with EDNS are told beside the response code.
    ede: Option<Ede>,
    /// Whether they are also told why. What is wrong with files is nobody's business.
    is_told: bool,
}

impl Job {
    /// Logs that the update was not made although nothing is wrong with it.
    pub(super) fn log_failed(&self, end: &End) {
        let Some(Fault { rcode, why, .. }) = end.fault() else { return };
        let (line, zone) = (self.update.line(), self.update.zone.origin.as_ref());
        let zone = zone.without_final_dot();
        info!(target: "update", "{line}: updating zone '{zone}/IN': update failed: {why} ({rcode})");
    }

    /// Replies, and takes account of it.
    pub(super) fn finish(self, end: &End, observers: &Observers, now: u64) {
        let Job { update, reply: Reply { mut message, opt, room, signature, tapped }, way } = self;
        let (client, tsig, fault) = (&update.client, signature.is_some(), end.fault());
        let rcode = fault.map_or(Rcode::NOERROR, |fault| fault.rcode);
        if let (Some(store), Some(Fault { rcode, why, .. })) = (update.live.store(), fault) {
            store.turned_away(&update.zone.origin, &update.author(), *rcode, why);
        }
        if let Some(low) = message.get_mut(3) {
            *low = *low & 0xf0 | (rcode.0 & 0xf) as u8;
        }
        if let (Some(opt), Some((ede, text))) = (opt, fault.and_then(Fault::told)) {
            ede.append(&mut message, opt, text, room);
        }
        if let Some(mut signature) = signature {
            let length = message.len();
            message.resize(length + signature.octets(), 0);
            if signature.sign(&mut message, length, now).is_none() {
                return;
            }
        }
        for &stat in end.stats() {
            observers.count(stat, &update.zone);
        }
        observers.replied(&Sent { client, edns: opt.is_some(), tsig, rcode, octets: &message }, tapped);
        way.send(&message);
    }
}

impl End {
    fn fault(&self) -> Option<&Fault> {
        match self {
            End::Made => None,
            End::Refused(fault) | End::Failed(fault) => Some(fault),
        }
    }

    /// The counters that count it, as in BIND.
    fn stats(&self) -> &'static [Stat] {
        match self {
            End::Made => &[Stat::UpdateDone],
            End::Refused(Fault { rcode: Rcode::REFUSED, .. }) | End::Failed(Fault { rcode: Rcode::REFUSED, .. }) => {
                &[Stat::UpdateRej]
            }
            End::Refused(_) => &[],
            End::Failed(Fault {
                rcode: Rcode::NXDOMAIN | Rcode::YXDOMAIN | Rcode::NXRRSET | Rcode::YXRRSET, ..
            }) => &[Stat::UpdateBadPrereq, Stat::UpdateFail],
            End::Failed(_) => &[Stat::UpdateFail],
        }
    }
}

impl Fault {
    /// The update is not to be made, for this reason.
    pub(super) fn prohibited(why: String) -> Fault {
        Fault { rcode: Rcode::REFUSED, why, ede: Some(Ede::Prohibited), is_told: true }
    }

    /// The update could be made at another time.
    pub(super) fn not_ready(why: String) -> Fault {
        Fault { rcode: Rcode::SERVFAIL, why, ede: Some(Ede::NotReady), is_told: true }
    }

    fn told(&self) -> Option<(Ede, &str)> {
        Some((self.ede?, if self.is_told { &self.why } else { "" }))
    }
}

/// The response codes of prerequisites say enough.
impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        let rcode = refusal.rcode;
        let ede = match rcode {
            Rcode::REFUSED => Some(Ede::Prohibited),
            Rcode::SERVFAIL => Some(Ede::Other),
            _ => None,
        };
        Fault { rcode, why: refusal.why(), ede, is_told: true }
    }
}

impl From<&Failure> for End {
    fn from(failure: &Failure) -> End {
        let why = failure.to_string();
        match failure {
            Failure::Frozen => End::Refused(Fault { rcode: Rcode::REFUSED, ..Fault::not_ready(why) }),
            Failure::MadeElsewhere => End::Refused(Fault::prohibited(why)),
            Failure::Closed => End::Failed(Fault::not_ready(why)),
            Failure::Unwritable(_) | Failure::Journal(_) | Failure::File(..) => {
                End::Failed(Fault { is_told: false, ..Fault::not_ready(why) })
            }
        }
    }
}
