//! `bindy crds`: the CustomResourceDefinitions, as deploy/crds has them.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use crate::api::{self, Kind};

/// What `bindy crds` is told.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    /// Write a file for each kind into this folder, in place of printing all
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(options: &Options) -> io::Result<()> {
    let files = Kind::all().map(api::crd_file);
    match &options.dir {
        Some(dir) => {
            fs::create_dir_all(dir)?;
            files.into_iter().try_for_each(|(name, text)| fs::write(dir.join(name), text))
        }
        None => files.into_iter().try_for_each(|(_, text)| io::stdout().write_all(text.as_bytes())),
    }
}
