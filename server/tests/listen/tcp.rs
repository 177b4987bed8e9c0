//! Connections.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use bindy_server::listen::TcpLimits;

use crate::{PATIENCE, ask, listen, reply, request};

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("sets a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("sets a timeout");
    stream
}

/// With its length before it.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("a length that TCP carries");
    [&length.to_be_bytes(), message].concat()
}

/// The next message.
fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a length");
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).expect("a message");
    message
}

#[test]
fn requests_in_any_pieces_are_answered() {
    let listeners = listen(&["127.0.0.1:0", "[::1]:0"], TcpLimits::default());
    for addr in listeners.local_addrs() {
        let mut stream = connect(addr);
        stream.set_nodelay(true).expect("sets an option");
        // One at a time, byte by byte.
        for byte in framed(&request(1, ask::CLIENT)) {
            stream.write_all(&[byte]).expect("sends");
        }
        let expected = format!("{} {addr} tcp", stream.local_addr().expect("bound"));
        assert_eq!(reply(&receive(&mut stream)), (1, expected.as_bytes()));
        // The end of one with the start of another.
        let both = [framed(&request(2, ask::ECHO)), framed(&request(3, ask::LENGTH))].concat();
        stream.write_all(&both[..20]).expect("sends");
        assert_eq!(reply(&receive(&mut stream)), (2, [ask::ECHO].as_slice()));
        stream.write_all(&both[20..]).expect("sends");
        assert_eq!(reply(&receive(&mut stream)), (3, b"13".as_slice()));
    }
}
