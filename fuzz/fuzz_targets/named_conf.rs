//! Fuzzes the named.conf parser with any octets: every statement of an accepted file can be walked, and every finding
//! can be rendered.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonefmt::{
    conf::{self, Statements},
    diagnostics::{self, Colour, Source},
};

fn walk(statements: Statements<'_>) {
    for statement in statements {
        statement.name();
        for argument in statement.arguments() {
            argument.text();
        }
        walk(statement.block());
    }
}

fuzz_target!(|text: &[u8]| match conf::parse(Source::new("fuzz", text)) {
    Ok(conf) => {
        walk(conf.statements());
        diagnostics::render(conf.warnings(), Colour::Never);
    }
    Err(diagnostics) => {
        diagnostics::render(&diagnostics, Colour::Never);
    }
});
