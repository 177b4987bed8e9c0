//! Fuzzes the engine with any octets as a request: a response must be well-formed, fit, and belong to the request.

#![no_main]

use std::{cell::RefCell, thread_local};

use bindy_server::listen::Transport;
use bindy_tests::{
    engine::Engine,
    generate,
    message::{Response, flags},
    name::Name,
};
use fastrand::Rng;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static ENGINE: RefCell<Engine> = RefCell::new(engine());
}

fn engine() -> Engine {
    let mut engine = Engine::new();
    let mut rng = Rng::with_seed(4);
    let worlds: Vec<_> = ["example.", "a.test.", "b.test."]
        .iter()
        .flat_map(|origin| generate::world(&mut rng, &Name::of(origin), &Name::of(&format!("apart.{origin}"))))
        .collect();
    engine.serve(&worlds);
    engine
}

fuzz_target!(|request: &[u8]| {
    ENGINE.with_borrow_mut(|engine| {
        for transport in [Transport::Udp, Transport::Tcp] {
            let Some(response) = engine.ask(request, transport) else { continue };
            let response = Response::read(response).expect("a well-formed response");
            assert_eq!(response.id.to_be_bytes(), request[..2]);
            assert!(response.has(flags::QR));
            assert!(transport == Transport::Tcp || response.size <= 4096);
        }
    });
});
