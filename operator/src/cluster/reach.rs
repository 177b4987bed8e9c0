//! What of a cluster a program watches, and how much it asks of the API server, as its environment says.

use std::{env, time::Duration};

use kube::{Client, Config, client::ClientBuilder};
use tower::{limit::RateLimitLayer, timeout::TimeoutLayer, util::option_layer};

use crate::{object::Type, terminal::say};

/// The namespaces that are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespaces(Vec<String>);

impl Namespaces {
    /// Those in `BINDY_WATCH_NAMESPACES`, separated by commas, and these; all if there are none in it.
    pub fn from_environment(also: &[&str]) -> Namespaces {
        Namespaces::of_text(&env::var("BINDY_WATCH_NAMESPACES").unwrap_or_default(), also)
    }

    fn of_text(text: &str, also: &[&str]) -> Namespaces {
        let mut names: Vec<String> =
            text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        if !names.is_empty() {
            names.extend(also.iter().map(|&name| name.to_owned()));
        }
        names.sort_unstable();
        names.dedup();
        Namespaces(names)
    }

    /// Where objects of a type are watched; an empty name stands for everywhere.
    pub fn of(&self, of: Type) -> impl Iterator<Item = &str> {
        let some = self.0.iter().map(String::as_str).filter(move |_| of.is_namespaced());
        let all = self.0.is_empty() || !of.is_namespaced();
        some.chain(all.then_some(""))
    }
}

/// How long an API server may take to begin to answer. Whoever waits for it does nothing else meanwhile.
const PATIENCE: Duration = Duration::from_secs(15);

/// A client that makes no more requests than `BINDY_KUBE_QPS` and `BINDY_KUBE_BURST` allow; without the former, as many as
/// it likes: API servers share themselves out. A request that nobody answers fails after a while.
///
/// # Errors
/// There is no cluster to be found.
pub async fn client() -> kube::Result<Client> {
    let config = Config::infer().await.map_err(kube::Error::InferConfig)?;
    let said = |name: &str| env::var(name).ok().filter(|text| !text.is_empty());
    let rate = rate(said("BINDY_KUBE_QPS").as_deref(), said("BINDY_KUBE_BURST").as_deref()).unwrap_or_else(|why| {
        say(&format!("{why}; requests are not limited"));
        None
    });
    let rate = rate.map(|(requests, time)| RateLimitLayer::new(requests, time));
    let builder = ClientBuilder::try_from(config)?.with_layer(&TimeoutLayer::new(PATIENCE));
    Ok(builder.with_layer(&option_layer(rate)).build())
}

/// So many requests in so much time; `None` for no limit. The burst is one and a half seconds' worth unless it is given.
fn rate(qps: Option<&str>, burst: Option<&str>) -> Result<Option<(u64, Duration)>, &'static str> {
    let Some(qps) = qps else { return Ok(None) };
    let is_sound = |number: &f64| (0.1..=100_000.0).contains(number);
    let qps = qps.trim().parse().ok().filter(is_sound);
    let qps = qps.ok_or("BINDY_KUBE_QPS is no number from 0.1 to 100000")?;
    let burst = match burst {
        Some(burst) => burst.trim().parse().ok().filter(|burst| (1..=100_000).contains(burst)),
        None => (1..=150_000).find(|burst: &u32| f64::from(*burst) >= 1.5 * qps),
    };
    let burst = burst.ok_or("BINDY_KUBE_BURST is no number from 1 to 100000")?;
    Ok(Some((u64::from(burst), Duration::from_secs_f64(f64::from(burst) / qps))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Kind;

    #[test]
    fn only_the_namespaces_that_are_named_are_watched() {
        let of = |text: &str, of: Type| {
            Namespaces::of_text(text, &["dns", "bindy-system"]).of(of).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(of("", Type::Pod), [""]);
        assert_eq!(of(" , ", Type::Pod), [""]);
        assert_eq!(of("b, a,dns", Type::Pod), ["a", "b", "bindy-system", "dns"]);
        assert_eq!(of("a", Type::Own(Kind::PROVIDER)), [""]);
    }

    #[test]
    fn requests_are_limited_as_the_environment_says() {
        assert_eq!(rate(None, Some("7")), Ok(None));
        assert_eq!(rate(Some("20"), Some("30")), Ok(Some((30, Duration::from_millis(1500)))));
        assert_eq!(rate(Some("20"), None), Ok(Some((30, Duration::from_millis(1500)))));
        assert_eq!(rate(Some("0.5"), None), Ok(Some((1, Duration::from_secs(2)))));
        for wrong in ["0", "-1", "many", "NaN", "inf"] {
            assert!(rate(Some(wrong), None).is_err() && rate(Some("1"), Some(wrong)).is_err(), "{wrong}");
        }
    }
}
