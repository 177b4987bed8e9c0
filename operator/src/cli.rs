//! The command line.

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::serve;

/// DNS as Kubernetes resources.
#[derive(Parser)]
#[command(name = "bindy", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the manifests of a folder, and every change of them at once.
    Serve(serve::Options),
    /// Print the version.
    Version,
}

/// Does what the arguments of this process say.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(options) => match serve::run(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // Without a place to say it the exit code still does.
                let _ = writeln!(std::io::stderr(), "bindy: {error}");
                ExitCode::FAILURE
            }
        },
        Command::Version => {
            let _ = writeln!(std::io::stdout(), "bindy {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}
