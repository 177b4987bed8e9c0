//! The statements against floods: `rate-limit`, and those about cookies.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use data_encoding::HEXLOWER_PERMISSIVE;
use zonefmt::conf::{Statement, Statements, values};

use super::{Reader, scope::Scope};
use crate::{
    access::Acl,
    cookies::CookieSecrets,
    limit::{Limiter, NetworkRate, RateLimit},
};

/// The largest rate in `ipv4-network-rates` and `ipv6-network-rates`, whose networks may be large.
const MAX_NETWORK_RATE: u32 = 1_000_000;

/// The limiter that a `rate-limit` statement describes. The grammar has checked most bounds.
pub(super) fn limiter<'c>(statement: Statement<'c>, reader: &mut Reader<'c, '_>) -> Arc<Limiter> {
    let (block, default) = (statement.block(), RateLimit::default());
    let number = |name: &str| values::number(&block.find(name)?.argument()?.text());
    let small = |name: &str, default: u8| number(name).map_or(default, |n| u8::try_from(n).unwrap_or(u8::MAX));
    let responses = number("responses-per-second").unwrap_or(default.responses);
    let mut networks = Vec::new();
    for (name, ipv6) in [("ipv4-network-rates", false), ("ipv6-network-rates", true)] {
        networks.extend(block.find(name).into_iter().flat_map(|rates| network_rates(rates.block(), ipv6, reader)));
    }
    let exempt = block.find("exempt-clients").map(|list| reader.acls.read(list.block()));
    let settings = RateLimit {
        responses,
        referrals: number("referrals-per-second").unwrap_or(responses),
        nodata: number("nodata-per-second").unwrap_or(responses),
        nxdomains: number("nxdomains-per-second").unwrap_or(responses),
        errors: number("errors-per-second").unwrap_or(responses),
        all: number("all-per-second").unwrap_or(default.all),
        networks,
        slip: small("slip", default.slip),
        window: number("window").and_then(|n| n.try_into().ok()).unwrap_or(default.window),
        ipv4_prefix: small("ipv4-prefix-length", default.ipv4_prefix),
        ipv6_prefix: small("ipv6-prefix-length", default.ipv6_prefix),
        exempt: exempt
            .and_then(|list| list.map_err(|error| reader.findings.push(*error)).ok())
            .unwrap_or_else(Acl::none),
        log_only: flag(block.find("log-only")).unwrap_or(default.log_only),
        qps_scale: number("qps-scale").unwrap_or(default.qps_scale),
        table_size: number("max-table-size").map_or(default.table_size, |size| size as usize),
    };
    Arc::new(Limiter::new(settings, Instant::now()))
}

/// Reads `{ LENGTH RATE; … }`, with each length once.
fn network_rates(elements: Statements<'_>, ipv6: bool, reader: &mut Reader<'_, '_>) -> Vec<NetworkRate> {
    let (shortest, longest) = if ipv6 { (16, 128) } else { (8, 32) };
    let mut rates: Vec<NetworkRate> = Vec::new();
    for element in elements {
        let mut numbers = element.arguments().filter_map(|part| values::number(&part.text()));
        let (Some(length), Some(rate)) = (numbers.next(), numbers.next()) else { continue };
        let network = u8::try_from(length).ok().filter(|length| (shortest..=longest).contains(length));
        let finding = match network {
            None => element
                .error(format!("{length} is not the length of a network's prefix"))
                .help(format!("write a number from {shortest} to {longest}, and then the responses a second")),
            Some(_) if rate > MAX_NETWORK_RATE => element
                .error(format!("the rate {rate} is out of range"))
                .help(format!("write at most {MAX_NETWORK_RATE}")),
            Some(prefix) if rates.iter().any(|known| known.prefix == prefix) => element
                .error(format!("there is a rate for networks of {prefix} bits already"))
                .help("remove one of them"),
            Some(prefix) => {
                rates.push(NetworkRate { ipv6, prefix, rate });
                continue;
            }
        };
        reader.findings.push(finding);
    }
    rates
}

/// The secrets that cookies are made with; `None` if the cookies of clients are ignored.
pub(super) fn cookies<'c>(options: &Scope<'c, '_>, reader: &mut Reader<'c, '_>) -> Option<Arc<CookieSecrets>> {
    if let Some(algorithm) = options.find("cookie-algorithm").and_then(Statement::argument)
        && algorithm.is("aes")
    {
        let error = algorithm.error("cookies by AES are not supported: servers of other makes do not know them");
        reader.findings.push(error.help("write `siphash24`, and the same in all servers that share the secret"));
    }
    let secret = |statement: Statement<'_>| {
        let octets = HEXLOWER_PERMISSIVE.decode(&statement.argument()?.text()).ok()?;
        <[u8; CookieSecrets::OCTETS]>::try_from(octets).ok()
    };
    if options.yes_no("answer-cookie") == Some(false) {
        return None;
    }
    let mut secrets = options.all("cookie-secret").into_iter().filter_map(secret);
    match secrets.next() {
        Some(current) => Some(Arc::new(CookieSecrets::new(current, secrets))),
        None => own_secret(),
    }
}

/// The secret of a server that shares none with others. It survives a reload, so that the cookies of clients stay
/// valid.
fn own_secret() -> Option<Arc<CookieSecrets>> {
    static SECRET: OnceLock<Arc<CookieSecrets>> = OnceLock::new();
    if SECRET.get().is_none() {
        match CookieSecrets::random() {
            Ok(secret) => _ = SECRET.set(Arc::new(secret)),
            Err(error) => tracing::error!(%error, "no randomness for cookies: there are none until the next reload"),
        }
    }
    SECRET.get().cloned()
}

fn flag(statement: Option<Statement<'_>>) -> Option<bool> {
    values::yes_no(&statement?.argument()?.text())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use zonefmt::diagnostics::Source;

    use crate::{
        config::{Config, Overrides},
        limit::{NetworkRate, RateLimit},
    };

    fn read(conf: &str) -> Result<Config, Vec<String>> {
        let config = Config::parse(Source::new("named.conf", conf), Overrides::default());
        config.map_err(|findings| findings.into_iter().map(|finding| finding.message).collect())
    }

    fn limits(conf: &str) -> RateLimit {
        let config = read(&format!("options {{ rate-limit {{ {conf} }}; }};")).unwrap();
        config.settings.outside.limiter.as_ref().unwrap().settings().clone()
    }

    #[test]
    fn rates_that_are_not_written_are_that_of_responses() {
        let default = RateLimit::default();
        assert_eq!(limits(""), default);
        let five = RateLimit { responses: 5, referrals: 5, nodata: 5, nxdomains: 5, errors: 5, ..default.clone() };
        assert_eq!(limits("responses-per-second 5;"), five);
        let all = "responses-per-second 5; referrals-per-second 6; nodata-per-second 7; nxdomains-per-second 8;\
                   errors-per-second 0; all-per-second 9; slip 3; window 4; ipv4-prefix-length 20; ipv6-prefix-length 48;\
                   log-only yes; qps-scale 250; min-table-size 10; max-table-size 1000;\
                   ipv4-network-rates { 32 50; 16 9000; }; ipv6-network-rates { 128 40; };";
        let network = |ipv6, prefix, rate| NetworkRate { ipv6, prefix, rate };
        let networks = vec![network(false, 32, 50), network(false, 16, 9000), network(true, 128, 40)];
        let rates = RateLimit { referrals: 6, nodata: 7, nxdomains: 8, errors: 0, all: 9, networks, ..five };
        let sizes = RateLimit { slip: 3, window: 4, ipv4_prefix: 20, ipv6_prefix: 48, table_size: 1000, ..rates };
        assert_eq!(limits(all), RateLimit { log_only: true, qps_scale: 250, ..sizes });
    }

    #[test]
    fn a_view_is_limited_as_options_are_unless_it_says_otherwise() {
        let views = "view a { match-clients { 127.0.0.1; }; }; view b { rate-limit { responses-per-second 2; }; };";
        let config = read(&format!("options {{ rate-limit {{ responses-per-second 1; }}; }}; {views}")).unwrap();
        let limiter = |view: usize| config.views[view].settings.limiter.clone().unwrap();
        assert!(Arc::ptr_eq(&limiter(0), config.settings.outside.limiter.as_ref().unwrap()));
        assert_eq!(limiter(1).settings().responses, 2);
        assert!(read(views).unwrap().views[0].settings.limiter.is_none());
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        for (statement, expected) in [
            ("rate-limit { ipv4-network-rates { 33 5; }; };", "33 is not the length of a network's prefix"),
            ("rate-limit { ipv6-network-rates { 8 5; }; };", "8 is not the length of a network's prefix"),
            ("rate-limit { ipv4-network-rates { 24 1000001; }; };", "the rate 1000001 is out of range"),
            ("rate-limit { ipv4-network-rates { 24 5; 24 6; }; };", "there is a rate for networks of 24 bits already"),
            ("rate-limit { exempt-clients { nobody; }; };", "there is no acl `nobody`"),
            ("rate-limit { max-table-size 9; };", "`max-table-size` is smaller than `min-table-size`, which is 500"),
            ("cookie-secret \"0011\";", "the secret is not 128 bits in hexadecimal"),
        ] {
            let findings = read(&format!("options {{ {statement} }};")).unwrap_err();
            assert!(findings.iter().any(|finding| finding == expected), "{statement}: {findings:?}");
        }
        let aes = read("options { cookie-algorithm aes; };").unwrap_err();
        assert!(aes.iter().any(|finding| finding.starts_with("cookies by AES are not supported")), "{aes:?}");
    }

    #[test]
    fn a_secret_of_our_own_outlasts_a_reload() {
        let cookies = |options: &str| read(&format!("options {{ {options} }};")).unwrap().settings.cookies.clone();
        assert!(cookies("").is_some() && cookies("") == cookies(""));
        assert!(cookies("answer-cookie no;").is_none());
        assert_ne!(cookies("cookie-secret \"00112233445566778899aabbccddeeff\";"), cookies(""));
    }
}
