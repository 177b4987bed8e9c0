//! `bindy crds`: prints or writes the CustomResourceDefinitions in `deploy/crds`.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use crate::api;

/// The arguments of `bindy crds`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    /// Write one file for each kind into this folder, instead of printing them
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(options: &Options) -> io::Result<()> {
    let files = api::crd_files();
    match &options.dir {
        Some(dir) => {
            fs::create_dir_all(dir)?;
            files.into_iter().try_for_each(|(name, text)| fs::write(dir.join(name), text))
        }
        None => files.into_iter().try_for_each(|(_, text)| io::stdout().write_all(text.as_bytes())),
    }
}
