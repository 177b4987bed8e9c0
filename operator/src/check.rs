//! `bindy check`: reports what would be served from a folder of manifests, for people and for CI.

use std::{path::PathBuf, process::ExitCode};

use zonefmt::diagnostics::Diagnostic;

use crate::{
    api::GROUP,
    compile::Compiler,
    manifest::{Folder, FolderError},
    report::{Outcome, Report, explain},
    terminal::{Output, Terminal, count, json, say},
};

/// The arguments of `bindy check`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The folder with the manifests, or a single manifest file.
    dir: PathBuf,
    /// How to print the result.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// List every resource, not only those with findings.
    #[arg(long)]
    all: bool,
    /// Fail on warnings too.
    #[arg(long)]
    strict: bool,
}

/// Checks the manifests and returns the exit code: 0 if everything is served, 1 if something is not, 2 if there is
/// nothing to check.
pub fn run(options: &Options) -> Result<ExitCode, FolderError> {
    let terminal = Terminal::new();
    let mut folder = Folder::new(options.dir.clone());
    let mut compiler = Compiler::default();
    let update = folder.look()?;
    compiler.apply(update.changes);
    if folder.resources().next().is_none() && update.unreadable.is_empty() && !has_errors(&update.diagnostics) {
        let dir = options.dir.display();
        terminal.failure(&format!("{dir} has no manifest of {GROUP}: name the folder that has them, or one of them"));
        return Ok(ExitCode::from(2));
    }
    let report = Report::new(&folder, &compiler, &update.diagnostics, |_| true);
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
            let errors = update.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
            let errors = if errors == 0 { String::new() } else { format!(", {}", count(errors, "error")) };
            say(&format!(
                "{} of {} served in {}{errors}",
                report.count(Outcome::Served),
                count(report.data(), "resource"),
                count(report.zones.len(), "zone"),
            ));
        }
    }
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(Diagnostic::is_error)
}
