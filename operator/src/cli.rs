//! The command line of `bindy`.

mod crds;

use std::{error::Error, io::Write, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{check, keys, plan, run as operator, serve, terminal};

/// DNS as Kubernetes resources.
#[derive(Parser)]
#[command(name = "bindy", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the manifests in a folder, and follow their changes.
    Serve(serve::Options),
    /// Report what would be served from a folder of manifests; exit code 1 if something would not be.
    Check(check::Options),
    /// Show what a change of manifests would do to the zones.
    Plan(plan::Options),
    /// Run the operator: make servers and zones of the resources of a Kubernetes cluster.
    Run(operator::Options),
    /// Make the keys that servers in a Kubernetes cluster need; the only part of Bindy that writes Secrets.
    Keys(keys::Options),
    /// Print the CustomResourceDefinitions, or write them into a folder, one file each.
    Crds(crds::Options),
    /// Print the version.
    Version,
}

/// Runs the command on the command line of this process. The exit code is 0 if all is well, 1 if the command found
/// something wrong, and 2 if it could not be carried out.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(options) => done(serve::run(&options)),
        Command::Check(options) => said(check::run(&options).unwrap_or_else(|error| failed(&error))),
        Command::Plan(options) => said(plan::run(&options).unwrap_or_else(|error| failed(&error))),
        Command::Run(options) => done(operator::run(&options)),
        Command::Keys(options) => done(keys::run(&options)),
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

/// The exit code of a command, or 2 if its result could not be written.
fn said(code: ExitCode) -> ExitCode {
    let Some(error) = terminal::unsaid() else { return code };
    let _ = writeln!(std::io::stderr(), "bindy: cannot write to standard output: {error}");
    ExitCode::from(2)
}

fn failed(error: &impl Error) -> ExitCode {
    // If standard error cannot be written, the exit code still shows the failure.
    let _ = writeln!(std::io::stderr(), "bindy: {error}");
    ExitCode::from(2)
}
