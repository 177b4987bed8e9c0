//! The command line.

mod crds;

use std::{error::Error, io::Write, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{check, plan, serve, terminal};

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
    /// Tell what would become of the manifests of a folder; exit code 1 if something would not be served.
    Check(check::Options),
    /// Tell what a change of manifests would do to the zones.
    Plan(plan::Options),
    /// Print the CustomResourceDefinitions, or write them into a folder, a file each.
    Crds(crds::Options),
    /// Print the version.
    Version,
}

/// Does what the arguments of this process say. Exit code 0: it is done, and all is well; 1: something is not; 2: it
/// could not be done.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(options) => done(serve::run(&options)),
        Command::Check(options) => said(check::run(&options).unwrap_or_else(|error| failed(&error))),
        Command::Plan(options) => said(plan::run(&options).unwrap_or_else(|error| failed(&error))),
        Command::Crds(options) => done(crds::run(&options)),
        Command::Version => {
            let _ = writeln!(std::io::stdout(), "bindy {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}

fn done<E: Error>(result: Result<(), E>) -> ExitCode {
    result.map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
}

/// A result that could not be written is none.
fn said(code: ExitCode) -> ExitCode {
    let Some(error) = terminal::unsaid() else { return code };
    let _ = writeln!(std::io::stderr(), "bindy: cannot write to standard output: {error}");
    ExitCode::from(2)
}

fn failed(error: &impl Error) -> ExitCode {
    // Without a place to say it the exit code still does.
    let _ = writeln!(std::io::stderr(), "bindy: {error}");
    ExitCode::from(2)
}
