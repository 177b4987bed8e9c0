//! `bindy keys`: makes the Secrets with keys that servers need. It is a program of its own because it alone may write
//! Secrets; it reads declarations and never serves anything.
//!
//! Each server has a key for `rndc`, and each cluster one for transfers from the hidden primary; a server without a
//! cluster has its own of that, too. What a user gives in a Secret of another name and form is written as servers read it,
//! and follows that Secret.
//!
//! `wanted` says which Secrets there should be, `due` what is to be done about each, and `keeper` does it. `material` makes
//! keys and writes them down, [`TransferKeys`] reads them; [`ClientKeys`] are those of others. `rotation` replaces keys, once
//! pods have shown by `proofs` that they have the new one; [`Told`] is what people see of that, and `report` what auditors
//! ask for. What differs between keys for `rndc` and those of transfers says [`Purpose`].

mod client;
mod due;
mod keeper;
mod material;
mod proofs;
mod purpose;
mod report;
mod rotation;
mod told;
mod wanted;

pub use client::{ClientKeys, KeyFault};
pub use material::{TransferKeys, names_of};
pub use purpose::{IN_USE, Purpose};
pub use report::Format;
pub use told::{Told, changed_at};
pub(crate) use wanted::given;

use std::{collections::BTreeSet, fmt};

use jiff::Timestamp;
use kube::{
    Client,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use crate::{
    api::Kind,
    cluster::{self, Seen, Store, collection, stored, terminated, why},
    object::Type,
    terminal::{begin_log, say},
};
use report::Report;

/// The arguments of `bindy keys`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What is to be done once; without, keys are made until the program is ended.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Show how old the RNDC key of each server is, and the transfer key of each cluster, and when it is replaced.
    Status(Scope),
    /// Have the RNDC key of a server replaced now, while servers accept the former one for some minutes still.
    Rotate {
        /// Name of the Bind9Instance; with `--transfer`, that of the Bind9Cluster, or of a Bind9Instance on its own
        name: String,
        /// Its namespace [default: that of the kubeconfig]
        #[arg(short, long, value_name = "NAMESPACE")]
        namespace: Option<String>,
        /// Replace the key by which servers get their zones instead
        #[arg(long)]
        transfer: bool,
        /// Have the former key accepted no more, as it is known to somebody; whoever uses it has to read the new one
        #[arg(long)]
        revoke: bool,
    },
    /// Report on the keys of all servers and clusters, for auditors.
    Report {
        #[command(flatten)]
        scope: Scope,
        /// Form of the report
        #[arg(short, long, value_name = "FORMAT", default_value = "text")]
        output: Format,
    },
}

#[derive(Clone, Debug, clap::Args)]
struct Scope {
    /// Namespace of the servers [default: all]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
}

/// Why `bindy keys` ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeysError {
    /// There is no cluster to be found.
    Client(Box<kube::Error>),
    /// The program cannot start its threads.
    Start(std::io::Error),
    /// The API server refuses something.
    Refused(String),
}

const KINDS: [Kind; 3] = [Kind::PROVIDER, Kind::CLUSTER, Kind::INSTANCE];

/// Makes keys until SIGINT or SIGTERM, or does what there is to be done once.
pub fn run(options: &Options) -> Result<(), KeysError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(KeysError::Start)?;
    runtime.block_on(async {
        let client = cluster::client().await.map_err(|error| KeysError::Client(Box::new(error)))?;
        match &options.command {
            None => {
                begin_log();
                tokio::select! {
                    () = keeper::serve(client) => {}
                    () = terminated() => {}
                }
            }
            Some(Command::Status(scope)) => report(&client, scope).await?.show(),
            Some(Command::Report { scope, output }) => report(&client, scope).await?.print(*output),
            Some(Command::Rotate { name, namespace, transfer, revoke }) => {
                let namespace = namespace.as_deref().unwrap_or(client.default_namespace());
                let purpose = if *transfer { Purpose::Transfer } else { Purpose::Control };
                request(&client, purpose, (namespace, name), *revoke).await?;
            }
        }
        Ok(())
    })
}

async fn report(client: &Client, scope: &Scope) -> Result<Report, KeysError> {
    let mut store = Store::default();
    let namespace = scope.namespace.as_deref().unwrap_or_default();
    for kind in KINDS {
        let of = Type::Own(kind);
        let place = if kind == Kind::PROVIDER { "" } else { namespace };
        let listed = match collection(client, of, place).list(&ListParams::default()).await {
            // Whoever sees a namespace need not see what is for all; servers of providers are as if these were gone.
            Err(kube::Error::Api(status)) if status.code == 403 && kind == Kind::PROVIDER => continue,
            listed => listed,
        };
        let listed = listed.map_err(|error| KeysError::Refused(format!("cannot list {of:?}: {}", why(&error))))?;
        let all = listed.items.into_iter().filter_map(|object| stored(of, object)).collect();
        store.take(Seen::All(of, String::new(), all), &mut BTreeSet::new());
    }
    Ok(Report::of(&store, namespace, Timestamp::now()))
}

/// Asks the one who makes keys to replace that of a server or cluster.
async fn request(
    client: &Client,
    purpose: Purpose,
    (namespace, owner): (&str, &str),
    revoke: bool,
) -> Result<(), KeysError> {
    if purpose == Purpose::Control
        && let Some(why) = not_ours(client, namespace, owner).await
    {
        return Err(KeysError::Refused(why));
    }
    let secret = purpose.secret(owner);
    let name = if revoke { rotation::name::REVOKE } else { rotation::name::ROTATE };
    let annotations = json!({ purpose.note(name): format!("{:.0}", Timestamp::now()) });
    let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
    let secrets = collection(client, Type::Secret, namespace);
    let asked = secrets.patch_metadata(&secret, &PatchParams::default(), &patch).await;
    let whose = match purpose {
        Purpose::Control => "",
        Purpose::Transfer => "; only a Bind9Cluster, or a Bind9Instance on its own, has such a key",
    };
    asked.map_err(|error| {
        KeysError::Refused(format!("cannot annotate Secret {namespace}/{secret}: {}{whose}", why(&error)))
    })?;
    say(&format!(
        "Asked for another key in Secret {namespace}/{secret}; `bindy keys status -n {namespace}` shows what comes of it."
    ));
    Ok(())
}

/// Why the key of a server is not Bindy's to replace, as its status says; `None` also if that cannot be read.
async fn not_ours(client: &Client, namespace: &str, instance: &str) -> Option<String> {
    let live = collection(client, Type::Own(Kind::INSTANCE), namespace).get_opt(instance).await.ok()??;
    let conditions = live.data["status"]["conditions"].as_array()?;
    let due = conditions.iter().find(|condition| condition["type"] == Purpose::Control.condition())?;
    let message = (due["reason"] == "ExternallyManaged").then(|| due["message"].as_str())?;
    Some(format!("no key is replaced: {}", message.unwrap_or_default()))
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeysError::Client(error) => {
                write!(f, "no cluster: {error}; run this in a pod, or name a kubeconfig in KUBECONFIG")
            }
            KeysError::Start(error) => write!(f, "cannot start: {error}"),
            KeysError::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for KeysError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            KeysError::Client(error) => Some(error),
            KeysError::Start(error) => Some(error),
            KeysError::Refused(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
