//! `bindy run`: the operator. It watches resources, makes the objects that run servers, compiles zones and serves these to
//! the servers as their hidden primary.
//!
//! One task decides everything: `operator` takes what was seen and works out what follows.
//!
//! * `world`: what was seen. `declarations` are the resources as they are understood, and `seen` is what other objects tell
//!   of servers.
//! * `zones`: what is made of resources. `removal` says what has to wait, and `publication` keeps serials.
//! * `serving`: what servers get. `assignment` says which server has which zone, `primary` serves it, and `catalogs` tell
//!   servers which zones they have.
//! * `desk`: where clients hand in what they want to write. `ledgers` keep it in the cluster, and `audit` tells of it.
//! * `objects`: what runs servers. `rollout` has their pods replaced one after another, and `retirement` says which servers
//!   may go.
//! * `rounds` asks servers: by `probes` what they serve, and by `readiness` which configuration they have; `truth` and
//!   `configs` are what they said.
//! * `status`, made of `conditions`, and `rotation` for keys: what people see of it all. `reports` write it, and `events`
//!   tell when it turns.
//!
//! Of several such processes one leads, by `lease`, and only that one publishes and writes; `leader` is how servers find
//! it. The others follow: they compile the same zones and serve what was published, with all that has changed since, so
//! that one of them can go on at any moment. Who led before follows, too. `http` tells monitoring systems.

mod assignment;
mod audit;
mod catalogs;
mod conditions;
mod configs;
mod declarations;
mod desk;
mod events;
mod http;
mod leader;
mod lease;
mod ledgers;
mod objects;
mod operator;
mod primary;
mod probes;
mod publication;
mod readiness;
mod removal;
mod reports;
mod reserves;
mod retirement;
mod rollout;
mod rotation;
mod seen;
mod serving;
mod status;
mod truth;
mod world;
mod zones;

use std::{
    env, fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bindy_server::listen::ListenError;
use kube::Client;
use tokio::{
    runtime,
    time::{Instant, sleep},
};

use crate::{
    cluster::{self, Watches, terminated},
    render::names,
    rounds,
    terminal::{begin_log, say},
};
use http::Board;
use lease::Leadership;
use operator::Operator;
use primary::Primary;

/// The arguments of `bindy run`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Address at which servers get their zones, over UDP and TCP; may be given several times. Port 0 takes a free port
    /// [default: all addresses, port 5353]
    #[arg(long, value_name = "ADDR:PORT", value_parser = crate::serve::address)]
    listen: Vec<SocketAddr>,
    /// Address and port at which servers find this process, if it runs outside of the cluster [default: those of the
    /// Service bindy-leader]
    #[arg(long, value_name = "ADDR:PORT", value_parser = crate::serve::address)]
    advertise: Vec<SocketAddr>,
    /// Address at which this process tells its health and its metrics over HTTP [default: all addresses, port 8080]
    #[arg(long, value_name = "ADDR:PORT", value_parser = crate::serve::address)]
    http: Option<SocketAddr>,
    /// Image of servers that name none [default: that in the environment variable BINDY_IMAGE, or that of this version at
    /// ghcr.io/firestoned/bindy]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
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
}

/// Somebody else has published this zone meanwhile, so that this process must not lead.
struct Fenced(String);

/// Where this process is.
#[derive(Clone, Debug)]
struct Place {
    /// Its namespace.
    namespace: String,
    /// The name of its pod, if it is one.
    name: Option<String>,
    /// The addresses of its pod.
    addresses: Vec<IpAddr>,
}

/// How often to look at what failed, and at what servers serve.
const LOOK: Duration = Duration::from_secs(1);
/// How long who is to end goes on serving, until the next one leads.
const FAREWELL: Duration = Duration::from_secs(5);

/// Runs the operator until SIGINT or SIGTERM.
///
/// # Errors
/// What it cannot do without.
pub fn run(options: &Options) -> Result<(), RunError> {
    begin_log();
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(RunError::Start)?.block_on(async {
        let missing = |error| RunError::Client(Box::new(error));
        let client = cluster::client().await.map_err(missing)?;
        let leadership = Leadership::seek(Client::try_default().await.map_err(missing)?, &place().namespace);
        let mut listen = options.listen.clone();
        if listen.is_empty() {
            let (ipv4, ipv6) = everywhere(names::DNS_PORT);
            listen.extend([Some(ipv4), ipv6].into_iter().flatten());
        }
        let (desk, inbox) = desk::open();
        let primary = Primary::start(listen, Arc::new(desk)).map_err(RunError::Listen)?;
        let addresses: Vec<String> = primary.addresses().iter().map(ToString::to_string).collect();
        say(&format!("Serving zones to servers on {}, UDP and TCP.", addresses.join(", ")));
        let board = Board::default();
        let http = options.http.unwrap_or_else(|| {
            let (ipv4, ipv6) = everywhere(names::HTTP_PORT);
            // It takes connections of both families.
            ipv6.unwrap_or(ipv4)
        });
        tokio::spawn(http::serve(http, board.clone()));
        let operator = Operator::new(client.clone(), options, place(), (primary, inbox), board);
        work(&client, operator, leadership).await;
        Ok(())
    })
}

/// Has the operator take what comes until SIGINT or SIGTERM.
async fn work(client: &Client, mut operator: Operator, mut leadership: Leadership) {
    let (mut watches, mut ended) = (Watches::new(client.clone()), pin!(terminated()));
    let mut looked = Instant::now();
    let mut leads = leadership.stands();
    let mut followed = operator.lead(leads).await;
    loop {
        if let Err(Fenced(zone)) = followed {
            say(&format!("{zone} was published by another process, so this one leads no more."));
            leadership.resign();
        }
        operator.watched().for_each(|(of, namespace)| watches.watch(of, namespace));
        watches.watch_these(operator.named());
        followed = tokio::select! {
            biased;
            () = &mut ended => break,
            now = leadership.changed() => {
                leads = now;
                say(if leads { "This process leads." } else { "Another process may lead; this one follows." });
                operator.lead(leads).await
            }
            heard = operator.hear() => operator.learn(heard).await,
            batch = watches.next() => operator.take(batch).await,
            () = sleep(LOOK.saturating_sub(looked.elapsed())) => {
                looked = Instant::now();
                operator.look().await
            }
        };
    }
    leadership.withdraw().await;
    if leads {
        // Servers find the next one a little later.
        tokio::select! {
            () = sleep(FAREWELL) => {}
            () = terminated() => {}
        }
    }
}

impl Place {
    /// What this process is called.
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("bindy")
    }
}

/// Where this process is, as its pod's environment says.
fn place() -> Place {
    let said = |name: &str| env::var(name).ok().filter(|text| !text.is_empty());
    Place {
        namespace: said("POD_NAMESPACE").unwrap_or_else(|| "bindy-system".into()),
        name: said("POD_NAME"),
        addresses: said("POD_IPS").iter().flat_map(|text| text.split(',')).filter_map(|it| it.parse().ok()).collect(),
    }
}

/// A port of all IPv4 addresses, and of all IPv6 addresses where the machine has any.
fn everywhere(port: u16) -> (SocketAddr, Option<SocketAddr>) {
    let has_ipv6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok();
    ((Ipv4Addr::UNSPECIFIED, port).into(), has_ipv6.then(|| (Ipv6Addr::UNSPECIFIED, port).into()))
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Client(error) => {
                write!(f, "no cluster: {error}; run this in a pod, or name a kubeconfig in KUBECONFIG")
            }
            RunError::Listen(error) => error.fmt(f),
            RunError::Start(error) => write!(f, "cannot start: {error}"),
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RunError::Client(error) => Some(error),
            RunError::Listen(error) => Some(error),
            RunError::Start(error) => Some(error),
        }
    }
}
