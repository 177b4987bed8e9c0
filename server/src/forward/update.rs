//! An update: one message to a primary, and one back.

use std::{net::SocketAddr, time::Duration};

use jiff::Timestamp;
use tokio::time::timeout;
use tracing::{info, warn};

use super::upstream::{Failure, Upstream};
use crate::{
    Rcode,
    listen::Later,
    logs::AddressLine,
    message::Message,
    stats::{Sent, Stat},
    update::Observers,
};

/// How long all primaries together may take; less than a connection waits for a reply.
const LONGEST: Duration = Duration::from_secs(45);

/// Passes an update on. The client gets the response of the first primary which has judged it, or else the last one that
/// came; `failure` if none did. `tapped` is when it came, if the reply is to be tapped.
pub(super) async fn forward(
    upstream: &Upstream,
    failure: Vec<u8>,
    way: Later,
    observers: &Observers,
    tapped: Option<Timestamp>,
) {
    observers.count(Stat::UpdateReqFwd, &upstream.zone);
    let mut response = None;
    // What came before the time is over counts.
    let _ = timeout(LONGEST, ask_primaries(upstream, &mut response)).await;
    observers.count(if response.is_some() { Stat::UpdateRespFwd } else { Stat::UpdateFwdFail }, &upstream.zone);
    let octets = response.unwrap_or(failure);
    if let Ok(message) = Message::read(&octets) {
        let (edns, tsig, rcode) = (message.opt().is_some(), message.is_signed(), message.rcode());
        observers.replied(&Sent { client: &upstream.client, edns, tsig, rcode, octets: &octets }, tapped);
    }
    way.send(&octets);
}

/// Asks the primaries in their order, until one of them has judged the update. `last` becomes the last response.
async fn ask_primaries(upstream: &Upstream, last: &mut Option<Vec<u8>>) {
    let zone = upstream.zone_line();
    for address in upstream.addresses() {
        let to = AddressLine(address);
        match response_of(upstream, address).await {
            Ok((response, rcode)) => {
                *last = Some(response);
                if is_verdict(rcode) {
                    info!(target: "general", "zone {zone}: forwarded dynamic update: primary {to} returned: {rcode}");
                    return;
                }
                warn!(
                    target: "general",
                    "zone {zone}: forwarding dynamic update: unexpected response: primary {to} returned: {rcode}"
                );
            }
            Err(why) => info!(target: "general", "zone {zone}: could not forward dynamic update to {to}: {why}"),
        }
    }
}

/// The response of a primary, and the code in it.
async fn response_of(upstream: &Upstream, address: SocketAddr) -> Result<(Vec<u8>, Rcode), Failure> {
    let primary = upstream.towards(address)?;
    // A new connection may lead to another server at the same address, which is the one that judges now.
    let judges = |response: &[u8]| Message::read(response).is_ok_and(|response| is_verdict(response.rcode()));
    let response = primary.exchange_over_kept_tcp(&upstream.message, judges).await?;
    let rcode = upstream.code_of(&response)?;
    Ok((response, rcode))
}

/// Whether a response shows what the zone or its policy makes of the update, which another primary would not change.
fn is_verdict(rcode: Rcode) -> bool {
    let is_unmet = matches!(rcode, Rcode::YXDOMAIN | Rcode::YXRRSET | Rcode::NXDOMAIN | Rcode::NXRRSET);
    is_unmet || matches!(rcode, Rcode::NOERROR | Rcode::REFUSED)
}
