//! `bindy check`: what would become of a folder of manifests, for people and for CI.

use std::{path::PathBuf, process::ExitCode};

use zonefmt::diagnostics::Severity;

use crate::{
    compile::Compiler,
    manifest::{Folder, FolderError},
    report::{Outcome, Report, explain},
    terminal::{Output, Terminal, count, json, say},
};

/// What `bindy check` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The folder with the manifests, or one manifest.
    dir: PathBuf,
    /// How to print the result.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// List every resource, not only those with something to tell.
    #[arg(long)]
    all: bool,
    /// Fail on warnings too.
    #[arg(long)]
    strict: bool,
}

/// Checks, and tells by its exit code: 0 if everything is served, 1 if something is not.
pub fn run(options: &Options) -> Result<ExitCode, FolderError> {
    let terminal = Terminal::new();
    let mut folder = Folder::new(options.dir.clone());
    let mut compiler = Compiler::default();
    let update = folder.look()?;
    compiler.apply(update.changes);
    let report = Report::new(&folder, &compiler, &update.diagnostics);
    for error in &update.unreadable {
        terminal.failure(&error.to_string());
    }
    let bad = !report.is_served() || !update.unreadable.is_empty() || options.strict && !report.is_clean();
    match options.output {
        Output::Json => json(&report),
        Output::Text => {
            terminal.diagnose(&update.diagnostics);
            let verdicts = compiler.resources().filter_map(|id| Some((id, compiler.verdict(id)?)));
            let findings: Vec<_> = verdicts.flat_map(|(id, verdict)| explain(&folder, id, &verdict)).collect();
            terminal.diagnose(&findings);
            if options.all || !report.is_clean() {
                report.table(terminal, |row| options.all || !row.findings.is_empty());
            }
            let errors = update.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
            let errors = if errors == 0 { String::new() } else { format!(", {}", count(errors, "error")) };
            say(&format!(
                "{} of {} served in {}{errors}",
                report.count(Outcome::Served),
                count(report.resources.len(), "resource"),
                count(report.zones.len(), "zone"),
            ));
        }
    }
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
