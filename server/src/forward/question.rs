//! A question: one message to a primary, and the answer back; of a transfer any number of messages, each as it comes and as
//! the client takes it.

use std::{net::SocketAddr, time::Duration};

use tokio::time::timeout;
use tracing::{info, warn};

use super::{
    course::Course,
    upstream::{Failure, Upstream},
};
use crate::{
    Rcode,
    listen::Later,
    logs::AddressLine,
    message::Message,
    transfer::inbound::{Conversation, Reason},
};

/// How long the search for a primary that answers may take; less than a connection waits for a reply.
const LONGEST: Duration = Duration::from_secs(45);

/// Passes a question on. The client gets the response of the first primary which has one that another would not change, or
/// else the last that came; `failure` if none did.
pub(super) async fn forward(upstream: &Upstream, course: Course, failure: Vec<u8>, way: Later) {
    let mut last = None;
    let Ok(Some(begun)) = timeout(LONGEST, ask_primaries(upstream, &course, &mut last)).await else {
        return way.send(&last.unwrap_or(failure));
    };
    let (zone, to) = (upstream.zone_line(), AddressLine(begun.primary));
    match timeout(upstream.zone.settings.outbound.max_time, begun.pass_on(upstream, way)).await {
        Ok(Ok(messages)) => {
            info!(target: "general", "zone {zone}: forwarded query: {messages} messages from primary {to}");
        }
        Ok(Err(why)) => warn!(target: "general", "zone {zone}: forwarded query: primary {to} has failed: {why}"),
        Err(_) => warn!(target: "general", "zone {zone}: forwarded query: maximum time exceeded at primary {to}"),
    }
}

/// Asks the primaries in their order, until one of them has a response that counts. `last` becomes the last that does not.
async fn ask_primaries(upstream: &Upstream, course: &Course, last: &mut Option<Vec<u8>>) -> Option<Begun> {
    let zone = upstream.zone_line();
    for address in upstream.addresses() {
        let to = AddressLine(address);
        match Begun::at(upstream, course.clone(), address).await {
            Ok(begun) if is_verdict(begun.rcode) => return Some(begun),
            Ok(Begun { message, rcode, .. }) => {
                info!(target: "general", "zone {zone}: forwarded query: primary {to} returned: {rcode}");
                *last = Some(message);
            }
            Err(why) => info!(target: "general", "zone {zone}: could not forward query to {to}: {why}"),
        }
    }
    None
}

/// Whether a response shows what the zone has, or whom it is for, which another primary would not change.
fn is_verdict(rcode: Rcode) -> bool {
    matches!(rcode, Rcode::NOERROR | Rcode::NXDOMAIN | Rcode::REFUSED)
}

/// The response of a primary of which the first message has come.
struct Begun {
    primary: SocketAddr,
    conversation: Conversation,
    course: Course,
    message: Vec<u8>,
    /// Whether no other one follows.
    is_last: bool,
    rcode: Rcode,
}

impl Begun {
    async fn at(upstream: &Upstream, mut course: Course, primary: SocketAddr) -> Result<Begun, Failure> {
        let mut conversation = upstream.towards(primary)?.converse(&upstream.message).await?;
        let message = conversation.next().await?;
        let rcode = upstream.code_of(&message)?;
        let is_last = ends(&mut course, &message)?;
        Ok(Begun { primary, conversation, course, message, is_last, rcode })
    }

    /// Passes messages on up to the last; returns how many. If one is missing, the client's connection is closed, so that
    /// it does not take the rest for all.
    async fn pass_on(self, upstream: &Upstream, mut way: Later) -> Result<u64, Failure> {
        let Begun { mut conversation, mut course, mut message, mut is_last, .. } = self;
        let mut count = 1;
        while !is_last {
            way.send_part(message).await.map_err(|_| Reason::Closed)?;
            message = conversation.next().await?;
            upstream.code_of(&message)?;
            is_last = ends(&mut course, &message)?;
            count += 1;
        }
        way.send(&message);
        Ok(count)
    }
}

/// Whether a response ends with this message.
fn ends(course: &mut Course, message: &[u8]) -> Result<bool, Reason> {
    Ok(course.ends_with(&Message::read(message)?)?)
}
