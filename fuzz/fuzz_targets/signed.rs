//! Fuzzes TSIG with any octets as a request that is signed and then perhaps corrupted: the response must be
//! well-formed, and if its TSIG is valid all the same, so was the request's.

#![no_main]

use std::{
    cell::RefCell,
    thread_local,
    time::{SystemTime, UNIX_EPOCH},
};

use bindy_server::listen::Transport;
use bindy_tests::{engine::Engine, generate, message::Response, name::Name, tsig::Key};
use fastrand::Rng;
use libfuzzer_sys::fuzz_target;

const HEADER: usize = 12;
const FULL: u8 = 32;

thread_local! {
    static ENGINE: RefCell<(Engine, Key)> = RefCell::new(engine());
}

fn engine() -> (Engine, Key) {
    let mut engine = Engine::new();
    let mut rng = Rng::with_seed(5);
    engine.serve(&generate::world(&mut rng, &Name::of("example."), &Name::of("apart.test.")));
    let key = Key::new("k.", b"secret");
    engine.trust([key.served()]);
    (engine, key)
}

// The length of the code, its age in units of 16 s, the octet to change (counted from the end) and how; then the
// request.
fuzz_target!(|input: (u8, u8, u8, u8, &[u8])| {
    let (octets, age, changed, how, request) = input;
    if request.len() < HEADER {
        return;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let mut request = request.to_vec();
    ENGINE.with_borrow_mut(|(engine, key)| {
        let code = key.sign(&mut request, now - 16 * u64::from(age), octets.min(FULL).into());
        let at = request.len() - 1 - usize::from(changed) % request.len();
        request[at] ^= how;
        let Some(response) = engine.ask(&request, Transport::Tcp) else { return };
        let mut response = response.to_vec();
        Response::read(&response).expect("a well-formed response");
        assert_eq!(response[..2], request[..2]);
        let Some(signature) = key.take(&mut response, &code) else { return };
        assert!(signature.error != 0 || signature.proven);
        if signature.error == 0 {
            assert!(octets >= FULL && age <= 18, "{octets} octets, {age} times 16 s");
        }
    });
});
