//! A conversation on the control channel, without its socket and the clock: messages in, answers out.
//!
//! The first message of a client is never carried out: its answer has a nonce, which each command must repeat. A
//! message that fails a check ends the conversation without an answer.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
};

use super::{
    message::{self, MessageError, Table, Value},
    reply::{CommandError, Reply},
};
use crate::keys::Key;

/// The server's side of a conversation.
pub(super) struct Session {
    nonce: u32,
    greeted: bool,
}

/// A message that passed the checks.
#[derive(Debug)]
pub(super) enum Heard {
    /// The first message; this is the answer.
    Greeting(Vec<u8>),
    /// A command, to be carried out and then [answered](Request::answer).
    Command(Request),
}

/// A command that passed every check.
#[derive(Debug)]
pub(super) struct Request {
    /// The command line.
    pub(super) line: String,
    control: Control,
    key: Key,
}

/// The values of `_ctrl` that an answer repeats.
#[derive(Debug)]
struct Control {
    serial: String,
    from: Option<String>,
    to: Option<String>,
    nonce: u32,
}

/// Why a conversation ends. The words are those of named's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    BadAuth,
    Version,
    Malformed,
    ClockSkew,
    Expired,
    Duplicate,
}

/// The messages of all clients that were heard so lately that their time stamp would still be valid: none is heard
/// twice.
#[derive(Default)]
pub(super) struct Replays {
    known: HashSet<String>,
    /// With the second since 1970 at which each was heard, in that order.
    order: VecDeque<(u64, String)>,
}

/// Seconds by which a client's clock may differ from ours.
pub(super) const CLOCK_SKEW: u64 = 300;
/// Seconds for which an answer is valid.
const ANSWER_TIME: u64 = 60;
/// Seconds for which a message is remembered: longer than the clock window is wide.
const REPLAY_TIME: u64 = 900;
/// The most messages remembered. Each was signed by a key, so that others cannot use this up.
const MAX_REPLAYS: usize = 65_536;

impl Session {
    /// A conversation with `nonce`, which must be random.
    pub(super) fn new(nonce: u32) -> Session {
        Session { nonce: nonce.max(1), greeted: false }
    }

    /// Takes a message, without its length field. `now` is in seconds since 1970.
    pub(super) fn hear(
        &mut self,
        octets: &[u8],
        keys: &[Key],
        replays: &mut Replays,
        now: u64,
    ) -> Result<Heard, Refusal> {
        let (table, key) = message::read(octets, keys)?;
        let control = table.table(b"_ctrl").ok_or(Refusal::Malformed)?;
        let line = table.table(b"_data").and_then(|data| data.text(b"type")).ok_or(Refusal::Malformed)?;
        if control.value(b"_rpl").is_some() {
            return Err(Refusal::Malformed);
        }
        let time = u64::from(control.number(b"_tim").ok_or(Refusal::ClockSkew)?);
        if now.abs_diff(time) > CLOCK_SKEW {
            return Err(Refusal::ClockSkew);
        }
        if control.number(b"_exp").is_some_and(|expiry| now > u64::from(expiry)) {
            return Err(Refusal::Expired);
        }
        let text = |key: &[u8]| control.text(key).map(str::to_owned);
        let (serial, from, to) = (text(b"_ser").ok_or(Refusal::Malformed)?, text(b"_frm"), text(b"_to"));
        replays.hear(format!("{from:?};{to:?};{serial};{time}"), now)?;
        let request = Request {
            line: line.to_owned(),
            control: Control { serial, from, to, nonce: self.nonce },
            key: key.clone(),
        };
        if !self.greeted {
            self.greeted = true;
            return Ok(Heard::Greeting(request.answer(&Ok(String::new()), now)));
        }
        match control.number(b"_nonce") {
            Some(nonce) if nonce == self.nonce => Ok(Heard::Command(request)),
            _ => Err(Refusal::BadAuth),
        }
    }
}

impl Request {
    /// The answer, signed by the key that signed the command.
    pub(super) fn answer(&self, reply: &Reply, now: u64) -> Vec<u8> {
        let mut control = Table::default();
        control.push_text(b"_ser", &self.control.serial);
        control.push_text(b"_tim", &now);
        control.push_text(b"_exp", &(now + ANSWER_TIME));
        if let Some(to) = &self.control.to {
            control.push_text(b"_frm", to);
        }
        if let Some(from) = &self.control.from {
            control.push_text(b"_to", from);
        }
        control.push_text(b"_rpl", &1);
        control.push_text(b"_nonce", &self.control.nonce);
        let mut data = Table::default();
        data.push_text(b"type", &self.line);
        let text = match reply {
            Ok(text) => {
                data.push_text(b"result", &0);
                text
            }
            Err(CommandError { failure, text }) => {
                data.push_text(b"result", &failure.code());
                data.push_text(b"err", failure.text());
                text
            }
        };
        if !text.is_empty() {
            data.push_text(b"text", text);
        }
        let mut table = Table::default();
        table.push(b"_ctrl", Value::Table(control));
        table.push(b"_data", Value::Table(data));
        message::write(&table, &self.key)
    }
}

impl Replays {
    fn hear(&mut self, message: String, now: u64) -> Result<(), Refusal> {
        while self.order.front().is_some_and(|(heard, _)| heard + REPLAY_TIME < now) || self.order.len() >= MAX_REPLAYS
        {
            if let Some((_, oldest)) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
        if !self.known.insert(message.clone()) {
            return Err(Refusal::Duplicate);
        }
        self.order.push_back((now, message));
        Ok(())
    }
}

impl From<MessageError> for Refusal {
    fn from(error: MessageError) -> Refusal {
        match error {
            MessageError::BadAuth => Refusal::BadAuth,
            MessageError::Version => Refusal::Version,
            MessageError::Malformed => Refusal::Malformed,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::BadAuth => "bad auth",
            Refusal::Version => "unknown version",
            Refusal::Malformed => "syntax error",
            Refusal::ClockSkew => "clock skew",
            Refusal::Expired => "expired",
            Refusal::Duplicate => "duplicate",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{control::Failure, keys::Algorithm};

    const NOW: u64 = 1_795_217_713;

    fn keys() -> Vec<Key> {
        vec![Key::new("k", Algorithm::HmacSha256, "c2VjcmV0").unwrap()]
    }

    /// A message of a client: serial, time and further values of `_ctrl`, and its command.
    fn message(serial: u32, time: u64, more: &[(&[u8], &str)], line: &str) -> Vec<u8> {
        let (mut control, mut data, mut table) = (Table::default(), Table::default(), Table::default());
        control.push_text(b"_ser", &serial);
        control.push_text(b"_tim", &time);
        for (key, value) in more {
            control.push_text(key, value);
        }
        data.push_text(b"type", line);
        table.push(b"_ctrl", Value::Table(control));
        table.push(b"_data", Value::Table(data));
        message::write(&table, &keys()[0])[4..].to_vec()
    }

    fn refusal(session: &mut Session, octets: &[u8], replays: &mut Replays) -> Option<Refusal> {
        session.hear(octets, &keys(), replays, NOW).err()
    }

    #[test]
    fn a_command_needs_the_nonce_of_the_greeting() {
        let (mut session, mut replays) = (Session::new(7), Replays::default());
        let Ok(Heard::Greeting(answer)) = session.hear(&message(1, NOW, &[], "stop"), &keys(), &mut replays, NOW)
        else {
            panic!("the first message is a greeting, whatever it says")
        };
        let known = keys();
        let (answer, _) = message::read(&answer[4..], &known).unwrap();
        let control = answer.table(b"_ctrl").unwrap();
        assert_eq!(
            (control.number(b"_nonce"), control.number(b"_ser"), control.text(b"_rpl")),
            (Some(7), Some(1), Some("1"))
        );
        assert_eq!(answer.table(b"_data").unwrap().text(b"result"), Some("0"));

        let command = message(2, NOW, &[(b"_nonce", "7"), (b"_frm", "me"), (b"_to", "you")], "status -x");
        let Ok(Heard::Command(request)) = session.hear(&command, &keys(), &mut replays, NOW) else {
            panic!("a command")
        };
        assert_eq!(request.line, "status -x");
        let answer = request.answer(&Err(CommandError::new(Failure::NotFound, "no matching zone")), NOW);
        let (answer, _) = message::read(&answer[4..], &known).unwrap();
        let (control, data) = (answer.table(b"_ctrl").unwrap(), answer.table(b"_data").unwrap());
        assert_eq!((control.text(b"_frm"), control.text(b"_to")), (Some("you"), Some("me")));
        assert_eq!((data.text(b"result"), data.text(b"err")), (Some("23"), Some("not found")));
        assert_eq!(data.text(b"text"), Some("no matching zone"));

        assert_eq!(
            refusal(&mut session, &message(3, NOW, &[(b"_nonce", "8")], "x"), &mut replays),
            Some(Refusal::BadAuth)
        );
        assert_eq!(refusal(&mut session, &message(4, NOW, &[], "x"), &mut replays), Some(Refusal::BadAuth));
    }

    #[test]
    fn time_and_repetition_are_checked() {
        let fresh = || (Session::new(7), Replays::default());
        let told = |octets: &[u8]| {
            let (mut session, mut replays) = fresh();
            refusal(&mut session, octets, &mut replays)
        };
        assert_eq!(told(&message(1, NOW - 300, &[], "null")), None);
        assert_eq!(told(&message(1, NOW - 301, &[], "null")), Some(Refusal::ClockSkew));
        assert_eq!(told(&message(1, NOW + 301, &[], "null")), Some(Refusal::ClockSkew));
        assert_eq!(told(&message(1, NOW, &[(b"_exp", "1795217712")], "null")), Some(Refusal::Expired));
        assert_eq!(told(&message(1, NOW, &[(b"_rpl", "1")], "null")), Some(Refusal::Malformed));

        let (mut session, mut replays) = fresh();
        let greeting = message(1, NOW, &[], "null");
        assert_eq!(refusal(&mut session, &greeting, &mut replays), None);
        assert_eq!(refusal(&mut Session::new(9), &greeting, &mut replays), Some(Refusal::Duplicate));
        let later = NOW + REPLAY_TIME + 1;
        assert!(replays.hear("another".into(), later).is_ok());
        assert_eq!(replays.order.len(), 1, "what is too old to be heard again is forgotten");
    }
}
