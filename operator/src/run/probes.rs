//! Asks pods for the serials of their zones.

use std::net::SocketAddr;

use bindy_server::tsig::TsigKey;
use zonefmt::{Name, Serial};

use super::rounds::{Ask, Reply};
use crate::soa;

/// The question which version of a zone a pod serves.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) zone: Name,
    pub(super) pod: SocketAddr,
    pub(super) key: TsigKey,
}

/// The version that a pod serves.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) zone: Name,
    pub(super) pod: SocketAddr,
    pub(super) serial: Serial,
}

impl Ask for Question {
    type Answer = Answer;

    fn whom(&self) -> SocketAddr {
        self.pod
    }

    fn is_same(&self, other: &Question) -> bool {
        self.zone == other.zone && self.pod == other.pod
    }

    async fn ask(self) -> Reply<Answer> {
        let Question { zone, pod, key } = self;
        soa::version(&zone, pod, key).await.map(|serial| Answer { zone, pod, serial })
    }
}
