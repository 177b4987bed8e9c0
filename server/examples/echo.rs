//! The listeners alone: answers every request with itself, QR set. What a server costs without any DNS in it.
//!
//! `cargo run --release --example echo 127.0.0.1:5300 [WORKERS]`

use std::num::NonZeroUsize;
use std::time::Instant;

use bindy_server::listen::{Client, Config, Respond, TcpLimits, start};

struct Echo;

impl Respond for Echo {
    fn refresh(&mut self, _: Instant) {}

    fn respond(&mut self, request: &[u8], _: &Client, out: &mut [u8]) -> Option<usize> {
        let out = out.get_mut(..request.len())?;
        out.copy_from_slice(request);
        *out.get_mut(2)? |= 0x80;
        Some(request.len())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let addr = args.next().ok_or("usage: echo ADDRESS:PORT [WORKERS]")?.parse()?;
    let workers = args.next().map_or(Ok(NonZeroUsize::MIN), |n| n.parse())?;
    let listeners = start(&Config { addresses: vec![addr], workers, tcp: TcpLimits::default() }, || Echo)?;
    println!("echoing on {:?}", listeners.local_addrs());
    loop {
        std::thread::park();
    }
}
