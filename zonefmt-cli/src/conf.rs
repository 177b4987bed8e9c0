//! `zonefmt conf`: checks and prints named.conf.

use std::path::Path;

use clap::{Args, Subcommand};
use zonefmt::{
    conf::{self, Conf, Part, Secrets, Statement},
    diagnostics::Diagnostic,
};

use super::{Outcome, Output, Reported, print};

/// Checks and prints the configuration of BIND 9.18, `named.conf`, with all files that it includes.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Reports what named-checkconf does. If all is well, it prints nothing and the exit code is 0.
    Check {
        #[command(flatten)]
        file: File,
        /// Show errors only.
        #[arg(long, short)]
        quiet: bool,
    },
    /// Prints the configuration as `named-checkconf -p` does: included files in place, in one order and one spelling.
    Print {
        #[command(flatten)]
        file: File,
        /// Print question marks in place of secrets.
        #[arg(long, short = 'x')]
        hide_secrets: bool,
    },
}

#[derive(Args)]
struct File {
    /// The configuration; `-` is standard input, where `include` is not possible.
    file: String,
}

pub(super) fn run(arguments: &Arguments, output: Output) -> Result<Outcome, Reported> {
    match &arguments.command {
        Command::Check { file, quiet } => file.read(output, *quiet).map(|_| Outcome::Success),
        Command::Print { file, hide_secrets } => {
            let secrets = if *hide_secrets { Secrets::Hide } else { Secrets::Show };
            print(&file.read(output, true)?.print(secrets))
        }
    }
}

impl File {
    /// Reads and checks the configuration, and shows the findings.
    fn read(&self, output: Output, quiet: bool) -> Result<Conf, Reported> {
        let read = match &*self.file {
            "-" => conf::parse(output.read("-")?),
            file => conf::load(Path::new(file)),
        };
        let findings = match &read {
            Ok(conf) => conf.warnings(),
            Err(findings) => findings,
        };
        output.show(findings.iter().filter(|finding: &&Diagnostic| !quiet || finding.is_error()));
        let conf = read.map_err(|_| Reported)?;
        let options = conf.statements().find("options").map(Statement::block);
        let directory = options.and_then(|options| options.find("directory")?.argument());
        match directory.and_then(Part::missing_directory) {
            Some(error) => {
                output.show([&error]);
                Err(Reported)
            }
            None => Ok(conf),
        }
    }
}
