//! `bindy keys`: makes the Secrets with keys that servers need. It is a program of its own because it alone may write
//! Secrets; it reads declarations and never serves anything.
//!
//! Each server has a key for `rndc`, and each cluster one for transfers from the hidden primary; a server without a
//! cluster has its own of that, too. What a user gives in a Secret of another name and form is written as servers read it,
//! and follows that Secret. `material` makes keys and writes them down, [`TransferKeys`] reads them.

mod due;
mod keeper;
mod material;
mod proofs;
mod rotation;
mod wanted;

pub use material::{TransferKeys, names_of};
pub(crate) use wanted::given;

use std::fmt;

use crate::{
    api::Kind,
    cluster::{self, terminated},
    terminal::begin_log,
};

/// The arguments of `bindy keys`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {}

/// Why `bindy keys` ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeysError {
    /// There is no cluster to be found.
    Client(Box<kube::Error>),
    /// The program cannot start its threads.
    Start(std::io::Error),
}

const KINDS: [Kind; 3] = [Kind::PROVIDER, Kind::CLUSTER, Kind::INSTANCE];

/// Makes keys until SIGINT or SIGTERM.
pub fn run(_: &Options) -> Result<(), KeysError> {
    begin_log();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(KeysError::Start)?;
    runtime.block_on(async {
        let client = cluster::client().await.map_err(|error| KeysError::Client(Box::new(error)))?;
        tokio::select! {
            () = keeper::serve(client) => {}
            () = terminated() => {}
        }
        Ok(())
    })
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeysError::Client(error) => {
                write!(f, "no cluster: {error}; run this in a pod, or name a kubeconfig in KUBECONFIG")
            }
            KeysError::Start(error) => write!(f, "cannot start: {error}"),
        }
    }
}

impl std::error::Error for KeysError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            KeysError::Client(error) => Some(error),
            KeysError::Start(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests;
