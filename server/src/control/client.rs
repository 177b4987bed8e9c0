//! The client's side of a conversation, as far as it shows that a server takes a key: the first message, and its answer.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io,
    net::SocketAddr,
    time::Duration,
};

use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use super::{
    message::{self, Table, Value},
    receive,
    session::CLOCK_SKEW,
};
use crate::{clock::unix_now, keys::Key};

/// How long a server may take. One that refuses a key closes the connection a second later.
const PATIENCE: Duration = Duration::from_secs(3);
/// Seconds for which the message is valid: as many as a server's clock may be ahead of ours by its own judgement. No command
/// comes of the message, whoever repeats it.
const VALID: u64 = CLOCK_SKEW;

/// Whether the server at an address takes a key on its control channel: it has answered this question with that key's
/// signature. `named` answers as `bindyd` does. It takes three seconds at most, and no command is carried out.
///
/// # Errors
/// The server cannot be reached, or says nothing in time.
pub async fn takes_key(address: SocketAddr, key: &Key) -> io::Result<bool> {
    // A hasher with a random key gives a number that nobody can foretell.
    let serial = RandomState::new().build_hasher().finish() as u32;
    let converse = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&greeting(serial, unix_now(), key)).await?;
        Ok(receive(&mut stream).await.ok().flatten().is_some_and(|octets| is_answer(&octets, serial, key)))
    };
    timeout(PATIENCE, converse).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The first message of a client. `now` is in seconds since 1970.
fn greeting(serial: u32, now: u64, key: &Key) -> Vec<u8> {
    let (mut control, mut data, mut table) = (Table::default(), Table::default(), Table::default());
    control.push_text(b"_ser", &serial);
    control.push_text(b"_tim", &now);
    control.push_text(b"_exp", &(now + VALID));
    data.push_text(b"type", "null");
    table.push(b"_ctrl", Value::Table(control));
    table.push(b"_data", Value::Table(data));
    message::write(&table, key)
}

/// Whether these octets, without a length field, are the answer to the message with that serial, signed with the key.
fn is_answer(octets: &[u8], serial: u32, key: &Key) -> bool {
    let Ok((table, _)) = message::read(octets, std::slice::from_ref(key)) else { return false };
    let control = table.table(b"_ctrl");
    control.is_some_and(|control| control.value(b"_rpl").is_some() && control.number(b"_ser") == Some(serial))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        control::session::{Heard, Replays, Session},
        keys::Algorithm,
    };

    #[test]
    fn only_an_answer_to_the_very_question_with_the_very_key_counts() {
        const NOW: u64 = 1_795_217_713;
        let key = |secret: &str| Key::new("k", Algorithm::HmacSha512, secret).unwrap();
        let (ours, other) = (key("c2VjcmV0"), key("b3RoZXI="));
        let question = greeting(7, NOW, &ours);
        let heard =
            Session::new(1).hear(&question[4..], &[other.clone(), ours.clone()], &mut Replays::default(), NOW).unwrap();
        let Heard::Greeting(answer) = heard else { panic!("the first message is a greeting") };
        assert!(is_answer(&answer[4..], 7, &ours));
        assert!(!is_answer(&answer[4..], 8, &ours), "of another question");
        assert!(!is_answer(&answer[4..], 7, &other), "by another key");
        assert!(!is_answer(&question[4..], 7, &ours), "the question itself, sent back");
        assert!(Session::new(1).hear(&question[4..], &[other], &mut Replays::default(), NOW).is_err());
        let hear_at =
            |now| Session::new(1).hear(&question[4..], std::slice::from_ref(&ours), &mut Replays::default(), now);
        for now in [NOW - CLOCK_SKEW, NOW + CLOCK_SKEW] {
            assert!(hear_at(now).is_ok(), "a clock that is as wrong as a server lets it be");
        }
        assert!(hear_at(NOW + CLOCK_SKEW + 1).is_err());
    }
}
