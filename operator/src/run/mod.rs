//! `bindy run`: the operator. It watches resources, makes the objects that run servers, compiles zones and serves these to
//! the servers as their hidden primary.
//!
//! One task decides everything: `operator` takes what was seen and works out what follows. `primary` serves,
//! `catalogs` tells servers which zones they have, `leader` is how they find this process, and by `lease` only one
//! process does all this. `probes` asks servers what they serve, `truth` is what they said, `conditions` is what people
//! see of it, and `status` writes that.

mod catalogs;
mod conditions;
mod leader;
mod lease;
mod operator;
mod primary;
mod probes;
mod status;
mod truth;

use std::{env, fmt, future::pending, io, net::SocketAddr, time::Duration};

use bindy_server::listen::ListenError;
use kube::Client;
use tokio::{
    runtime,
    time::{Instant, sleep},
};

use crate::{
    cluster::{Watches, terminated},
    terminal::say,
};
use lease::Lease;
use operator::Operator;
use primary::Primary;

/// The arguments of `bindy run`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Address at which servers get their zones, over UDP and TCP; may be given several times. Port 0 takes a free port.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:5353", value_parser = crate::serve::address)]
    listen: Vec<SocketAddr>,
    /// Address and port at which servers find this process, if it runs outside of the cluster [default: those of the
    /// Service bindy-leader]
    #[arg(long, value_name = "ADDR:PORT", value_parser = crate::serve::address)]
    advertise: Vec<SocketAddr>,
    /// Image of servers that name none
    #[arg(long, value_name = "IMAGE", default_value = concat!("ghcr.io/firestoned/bindy:", env!("CARGO_PKG_VERSION")))]
    image: String,
    /// Namespace of the servers of providers that name none [default: that of this process]
    #[arg(long, value_name = "NAMESPACE")]
    home: Option<String>,
}

/// Why `bindy run` ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// There is no cluster to be found.
    Client(Box<kube::Error>),
    /// An address cannot be listened on.
    Listen(ListenError),
    /// The program cannot start its threads.
    Start(io::Error),
    /// Somebody else publishes zones, too.
    Fenced(String),
    /// Another process has the Lease.
    Lost,
}

/// Where this process is.
#[derive(Clone, Debug)]
struct Place {
    /// Its namespace.
    namespace: String,
    /// The address of its pod, if it is one.
    address: Option<String>,
}

/// How often to look at what failed, and at what servers serve.
const LOOK: Duration = Duration::from_secs(1);

/// Runs the operator until SIGINT or SIGTERM.
///
/// # Errors
/// What it cannot do without, and that it must not go on.
pub fn run(options: &Options) -> Result<(), RunError> {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(RunError::Start)?.block_on(async {
        let missing = |error| RunError::Client(Box::new(error));
        let client = Client::try_default().await.map_err(missing)?;
        let lease = Lease::from_environment(Client::try_default().await.map_err(missing)?, &place().namespace);
        if let Some(lease) = &lease {
            say("Waiting for the Lease.");
            tokio::select! {
                () = lease.acquire() => say("This process has the Lease."),
                () = terminated() => return Ok(()),
            }
        }
        let primary = Primary::start(options.listen.clone()).map_err(RunError::Listen)?;
        let addresses: Vec<String> = primary.addresses().iter().map(ToString::to_string).collect();
        say(&format!("Serving zones to servers on {}, UDP and TCP.", addresses.join(", ")));
        let operator = Operator::new(client.clone(), options, place(), primary);
        let lost = async {
            match &lease {
                Some(lease) => lease.keep().await,
                None => pending().await,
            }
        };
        let ended = tokio::select! {
            ended = follow(&client, operator) => ended,
            () = lost => Err(RunError::Lost),
            () = terminated() => Ok(()),
        };
        if let Some(lease) = &lease {
            lease.release().await;
        }
        ended
    })
}

async fn follow(client: &Client, mut operator: Operator) -> Result<(), RunError> {
    let mut watches = Watches::new(client.clone());
    let mut looked = Instant::now();
    loop {
        operator.watched().for_each(|(of, namespace)| watches.watch(of, namespace));
        let pause = if operator.is_behind() { Duration::ZERO } else { LOOK.saturating_sub(looked.elapsed()) };
        tokio::select! {
            batch = watches.next() => operator.take(batch).await?,
            Some(answers) = operator.hear() => operator.learn(answers).await?,
            () = sleep(pause) => {
                looked = Instant::now();
                operator.look().await?;
            }
        }
    }
}

/// Where this process is, as its pod's environment says.
fn place() -> Place {
    let said = |name: &str| env::var(name).ok().filter(|text| !text.is_empty());
    Place { namespace: said("POD_NAMESPACE").unwrap_or_else(|| "bindy-system".into()), address: said("POD_IP") }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Client(error) => {
                write!(f, "no cluster: {error}; run this in a pod, or name a kubeconfig in KUBECONFIG")
            }
            RunError::Listen(error) => error.fmt(f),
            RunError::Start(error) => write!(f, "cannot start: {error}"),
            RunError::Lost => f.write_str("the Lease is lost; this process ends, so that only one publishes"),
            RunError::Fenced(zone) => {
                write!(f, "{zone} was published by another process since; this one ends, so that only one does")
            }
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RunError::Client(error) => Some(error),
            RunError::Listen(error) => Some(error),
            RunError::Start(error) => Some(error),
            RunError::Fenced(_) | RunError::Lost => None,
        }
    }
}
