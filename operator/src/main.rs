//! The `bindy` program; see [`bindy::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    bindy::cli::run()
}
