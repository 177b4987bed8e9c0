//! What is counted, and its name in each output: one row per counter drives them all.
//!
//! The names are those of BIND 9.18, which monitoring programs expect. Some rows count what a server without recursion
//! never does; they exist because readers of BIND's XML expect to find them, and stay zero.

use std::{borrow::Cow, ops::Range};

use zonefmt::Rtype;

use crate::{
    listen::{Client, Transport},
    wire::Rcode,
};

/// A set of counters that the outputs show together.
pub(super) struct Family {
    /// The range of cells that hold the counters.
    pub(super) cells: Range<usize>,
    /// The member's name in JSON.
    pub(super) json: &'static str,
    /// The type attribute in XML.
    pub(super) xml: &'static str,
    /// The heading in the statistics file.
    pub(super) heading: &'static str,
    /// Which outputs show the counters that are zero.
    pub(super) zeros: Zeros,
    /// How OpenMetrics shows the family.
    pub(super) metrics: Metrics,
    name: fn(usize) -> Cow<'static, str>,
}

/// Which outputs show counters that are zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Zeros {
    /// JSON and XML.
    Shown,
    /// Only XML.
    InXml,
    /// None.
    Hidden,
}

/// How OpenMetrics shows a family.
pub(super) enum Metrics {
    /// One metric with this name and help, whose label with this name distinguishes the counters.
    One(&'static str, &'static str, &'static str),
    /// The metrics that the family's rows name.
    Rows,
}

/// A counter of requests, responses or their outcome.
pub(super) struct Row {
    /// The counter's name in JSON and XML.
    pub(super) name: &'static str,
    /// A description of what is counted, for people.
    pub(super) text: &'static str,
    /// The metric that the counter belongs to, a label and its value; empty if OpenMetrics does not show it.
    pub(super) metric: (&'static str, &'static str, &'static str),
}

macro_rules! rows {
    ($($name:ident $text:literal $($metric:literal $label:literal $value:literal)?;)*) => {
        /// The counters of requests, responses and their outcome.
        #[allow(clippy::upper_case_acronyms, dead_code)] // The names are BIND's; some of its counters stay zero here.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Stat { $($name,)* }

        /// The rows of the counters, in the order of [`Stat`].
        pub(super) const ROWS: &[Row] = &[
            $(Row { name: stringify!($name), text: $text, metric: rows!(@metric $($metric $label $value)?) },)*
        ];
    };
    (@metric) => { ("", "", "") };
    (@metric $metric:literal $label:literal $value:literal) => { ($metric, $label, $value) };
}

rows! {
    Requestv4 "IPv4 requests received" "requests" "family" "ipv4";
    Requestv6 "IPv6 requests received" "requests" "family" "ipv6";
    ReqEdns0 "requests with EDNS(0) received" "request_features" "feature" "edns";
    ReqBadEDNSVer "requests with unsupported EDNS version received" "request_features" "feature" "unknown_edns_version";
    ReqTSIG "requests with TSIG received" "request_features" "feature" "tsig";
    ReqSIG0 "requests with SIG(0) received";
    ReqBadSIG "requests with invalid signature" "request_features" "feature" "bad_signature";
    ReqTCP "TCP requests received" "request_features" "feature" "tcp";
    TCPConnHighWater "TCP connection high-water";
    AuthQryRej "auth queries rejected" "queries_rejected" "recursion_desired" "no";
    RecQryRej "recursive queries rejected" "queries_rejected" "recursion_desired" "yes";
    XfrRej "transfer requests rejected" "requests_rejected" "kind" "transfer";
    UpdateRej "update requests rejected" "requests_rejected" "kind" "update";
    Response "responses sent" "responses_sent" "" "";
    TruncatedResp "truncated responses sent" "response_features" "feature" "truncated";
    RespEDNS0 "responses with EDNS(0) sent" "response_features" "feature" "edns";
    RespTSIG "responses with TSIG sent" "response_features" "feature" "tsig";
    RespSIG0 "responses with SIG(0) sent";
    QrySuccess "queries resulted in successful answer" "query_outcomes" "outcome" "success";
    QryAuthAns "queries resulted in authoritative answer" "query_answers" "authoritative" "yes";
    QryNoauthAns "queries resulted in non authoritative answer" "query_answers" "authoritative" "no";
    QryReferral "queries resulted in referral answer" "query_outcomes" "outcome" "referral";
    QryNxrrset "queries resulted in nxrrset" "query_outcomes" "outcome" "nodata";
    QrySERVFAIL "queries resulted in SERVFAIL" "query_outcomes" "outcome" "servfail";
    QryFORMERR "queries resulted in FORMERR" "query_outcomes" "outcome" "formerr";
    QryNXDOMAIN "queries resulted in NXDOMAIN" "query_outcomes" "outcome" "nxdomain";
    QryRecursion "queries caused recursion";
    QryDuplicate "duplicate queries received";
    QryDropped "queries dropped" "query_outcomes" "outcome" "dropped";
    QryFailure "other query failures" "query_outcomes" "outcome" "failure";
    XfrReqDone "requested transfers completed" "transfers_sent" "" "";
    UpdateReqFwd "update requests forwarded" "updates" "outcome" "request_forwarded";
    UpdateRespFwd "update responses forwarded" "updates" "outcome" "response_forwarded";
    UpdateFwdFail "update forward failed" "updates" "outcome" "forward_failed";
    UpdateDone "updates completed" "updates" "outcome" "done";
    UpdateFail "updates failed" "updates" "outcome" "failed";
    UpdateBadPrereq "updates rejected due to prerequisite failure" "updates" "outcome" "bad_prerequisite";
    RecursClients "recursing clients";
    DNS64 "queries answered by DNS64";
    RateDropped "responses dropped for rate limits" "rate_limited" "action" "dropped";
    RateSlipped "responses truncated for rate limits" "rate_limited" "action" "slipped";
    RPZRewrites "response policy zone rewrites";
    QryUDP "UDP queries received" "queries_answered_from_zones" "transport" "udp";
    QryTCP "TCP queries received" "queries_answered_from_zones" "transport" "tcp";
    NSIDOpt "NSID option received" "request_features" "feature" "nsid";
    ExpireOpt "Expire option received" "request_features" "feature" "expire";
    KeepAliveOpt "EDNS TCP keepalive option received" "request_features" "feature" "keepalive";
    PadOpt "EDNS padding option received" "request_features" "feature" "padding";
    OtherOpt "Other EDNS option received" "request_features" "feature" "other_option";
    CookieIn "COOKIE option received" "request_features" "feature" "cookie";
    CookieNew "COOKIE - client only" "cookies" "kind" "client_only";
    CookieBadSize "COOKIE - bad size" "cookies" "kind" "bad_size";
    CookieBadTime "COOKIE - bad time" "cookies" "kind" "bad_time";
    CookieNoMatch "COOKIE - no match" "cookies" "kind" "no_match";
    CookieMatch "COOKIE - match" "cookies" "kind" "match";
    ECSOpt "EDNS client subnet option received" "request_features" "feature" "client_subnet";
    QryNXRedir "queries NXDOMAIN redirected";
    QryNXRedirRLookup "queries NXDOMAIN redirected with recursion";
    QryBADCOOKIE "sent badcookie response" "query_outcomes" "outcome" "badcookie";
    SynthNXDOMAIN "synthesized a NXDOMAIN response";
    SynthNODATA "synthesized a no-data response";
    SynthWILDCARD "synthesized a wildcard response";
    QryTryStale "attempts to use stale cache data after lookup failure";
    QryUsedStale "successful uses of stale cache data after lookup failure";
    Prefetch "queries triggered prefetch";
    KeyTagOpt "Keytag option received";
    RecLimitDropped "queries dropped due to recursive client limit";
    UpdateQuota "Update quota exceeded" "updates" "outcome" "quota_exceeded";
    NotifyOutv4 "IPv4 notifies sent" "notifies_sent" "family" "ipv4";
    NotifyOutv6 "IPv6 notifies sent" "notifies_sent" "family" "ipv6";
    NotifyInv4 "IPv4 notifies received" "notifies_received" "family" "ipv4";
    NotifyInv6 "IPv6 notifies received" "notifies_received" "family" "ipv6";
    NotifyRej "notifies rejected" "requests_rejected" "kind" "notify";
    SOAOutv4 "IPv4 SOA queries sent" "soa_queries_sent" "family" "ipv4";
    SOAOutv6 "IPv6 SOA queries sent" "soa_queries_sent" "family" "ipv6";
    AXFRReqv4 "IPv4 AXFR requested" "axfr_requested" "family" "ipv4";
    AXFRReqv6 "IPv6 AXFR requested" "axfr_requested" "family" "ipv6";
    IXFRReqv4 "IPv4 IXFR requested" "ixfr_requested" "family" "ipv4";
    IXFRReqv6 "IPv6 IXFR requested" "ixfr_requested" "family" "ipv6";
    XfrSuccess "transfer requests succeeded" "transfers_requested" "outcome" "success";
    XfrFail "transfer requests failed" "transfers_requested" "outcome" "failure";
}

/// The first counter of zone maintenance: what secondaries do, and NOTIFY.
const MAINTENANCE: usize = Stat::NotifyOutv4 as usize;

impl Stat {
    /// The counter's name in JSON and XML.
    pub(super) fn name(self) -> &'static str {
        self.row().name
    }

    /// The counter's row.
    pub(super) fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }
}

/// The help text of each metric of [`ROWS`].
pub(super) const ABOUT: &[(&str, &str)] = &[
    ("requests", "Requests received"),
    ("request_features", "Requests received that have a feature"),
    ("queries_rejected", "Queries refused: for zones that are not served here, or not to this client"),
    ("requests_rejected", "Other requests refused"),
    ("responses_sent", "Responses sent"),
    ("response_features", "Responses sent that have a feature"),
    ("query_outcomes", "What became of queries"),
    ("query_answers", "Answers to queries"),
    ("transfers_sent", "Zone transfers sent to the end"),
    ("notifies_sent", "NOTIFY messages sent to other servers, each once"),
    ("notifies_received", "NOTIFY messages received for zones that are served"),
    ("soa_queries_sent", "Questions for the serials that primaries have"),
    ("axfr_requested", "Transfers of whole zones requested of primaries"),
    ("ixfr_requested", "Transfers of changes requested of primaries"),
    ("transfers_requested", "Transfers requested of primaries that have ended"),
    ("updates", "Dynamic updates"),
    ("rate_limited", "Responses that rate limits withheld or truncated"),
    ("queries_answered_from_zones", "Queries for names in zones that are served"),
    ("cookies", "DNS cookies received"),
];

/// The number of types with a counter of their own: the lowest ones, up to CAA.
const TYPES: usize = 258;
/// The name of the counter of all other types.
const OTHERS: &str = "Others";
/// The width of a size bucket, in octets.
const STEP: usize = 16;
/// Requests of this size and larger are counted together, and likewise responses.
const LARGE_REQUEST: usize = 288;
const LARGE_RESPONSE: usize = 4096;
const REQUEST_SIZES: usize = LARGE_REQUEST / STEP + 1;
const RESPONSE_SIZES: usize = LARGE_RESPONSE / STEP + 1;

const OPCODES: Range<usize> = 0..16;
const RCODES: Range<usize> = after(&OPCODES, 24);
const QTYPES: Range<usize> = after(&RCODES, TYPES + 1);
const STATS: Range<usize> = after(&QTYPES, ROWS.len());
const SIZES: Range<usize> = after(&STATS, 4 * (REQUEST_SIZES + RESPONSE_SIZES));

/// The number of counters.
pub(super) const CELLS: usize = SIZES.end;

const fn after(before: &Range<usize>, length: usize) -> Range<usize> {
    before.end..before.end + length
}

/// The counter of an operation code of four bits.
pub(super) fn opcode(opcode: u8) -> usize {
    OPCODES.start + usize::from(opcode & 0xf)
}

/// The counter of a response code; as in BIND, there is none beyond BADCOOKIE.
pub(super) fn rcode(rcode: Rcode) -> Option<usize> {
    (usize::from(rcode.0) < RCODES.len()).then_some(RCODES.start + usize::from(rcode.0))
}

/// The counter of a question's type.
pub(super) fn qtype(rtype: Rtype) -> usize {
    QTYPES.start + usize::from(rtype.0).min(TYPES)
}

/// The counter of a row.
pub(super) const fn stat(stat: Stat) -> usize {
    STATS.start + stat as usize
}

/// One of the four pairs of size histograms: TCP or UDP, IPv6 or IPv4.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) tcp: bool,
    pub(super) v6: bool,
}

impl Way {
    /// That of a client.
    #[inline]
    pub(super) fn of(client: &Client) -> Way {
        Way { tcp: client.transport != Transport::Udp, v6: client.addr.is_ipv6() }
    }

    /// All four, in the order of the outputs.
    pub(super) const ALL: [Way; 4] = [
        Way { tcp: false, v6: false },
        Way { tcp: true, v6: false },
        Way { tcp: false, v6: true },
        Way { tcp: true, v6: true },
    ];

    fn sizes(self) -> usize {
        SIZES.start + (2 * usize::from(self.v6) + usize::from(self.tcp)) * (REQUEST_SIZES + RESPONSE_SIZES)
    }

    /// The counter of requests of this many octets.
    pub(super) fn request(self, octets: usize) -> usize {
        self.sizes() + (octets / STEP).min(REQUEST_SIZES - 1)
    }

    /// The counter of responses of this many octets.
    pub(super) fn response(self, octets: usize) -> usize {
        self.sizes() + REQUEST_SIZES + (octets / STEP).min(RESPONSE_SIZES - 1)
    }

    /// `udp` or `tcp`.
    pub(super) fn transport(self) -> &'static str {
        if self.tcp { "tcp" } else { "udp" }
    }

    /// `ipv4` or `ipv6`.
    pub(super) fn family(self) -> &'static str {
        if self.v6 { "ipv6" } else { "ipv4" }
    }

    /// The counters of requests, then those of responses, each with its range of sizes.
    pub(super) fn histograms(self) -> [Vec<(String, usize)>; 2] {
        let named = |first: usize, count: usize| {
            let name = move |step: usize| match step {
                last if last == count - 1 => format!("{}+", last * STEP),
                step => format!("{}-{}", step * STEP, (step + 1) * STEP - 1),
            };
            (0..count).map(|step| (name(step), first + step)).collect()
        };
        [named(self.sizes(), REQUEST_SIZES), named(self.sizes() + REQUEST_SIZES, RESPONSE_SIZES)]
    }
}

impl Family {
    /// The family's counters, each with its name and cell.
    pub(super) fn counters(&self) -> impl Iterator<Item = (Cow<'static, str>, usize)> {
        self.cells.clone().enumerate().map(|(index, cell)| ((self.name)(index), cell))
    }

    /// The family's counters as the statistics file words them, with `Others` first.
    pub(super) fn words(&self) -> Vec<(Cow<'static, str>, usize)> {
        let rows = matches!(self.metrics, Metrics::Rows);
        let word = |(index, cell): (usize, usize)| match cell.checked_sub(STATS.start).and_then(|row| ROWS.get(row)) {
            Some(row) if rows => (Cow::from(row.text), cell),
            _ => ((self.name)(index), cell),
        };
        let mut words: Vec<(Cow<'static, str>, usize)> = self.cells.clone().enumerate().map(word).collect();
        words.sort_by_key(|(word, _)| word != OTHERS);
        words
    }
}

/// The families in every output, in order; sizes are handled separately.
pub(super) const FAMILIES: [Family; 5] = [
    Family {
        cells: OPCODES,
        json: "opcodes",
        xml: "opcode",
        heading: "Incoming Requests",
        zeros: Zeros::Shown,
        metrics: Metrics::One("requests_by_opcode", "Requests by operation code", "opcode"),
        name: |index| match index {
            0 => "QUERY".into(),
            1 => "IQUERY".into(),
            2 => "STATUS".into(),
            4 => "NOTIFY".into(),
            5 => "UPDATE".into(),
            reserved => format!("RESERVED{reserved}").into(),
        },
    },
    Family {
        cells: RCODES,
        json: "rcodes",
        xml: "rcode",
        heading: "Outgoing Rcodes",
        zeros: Zeros::Shown,
        metrics: Metrics::One("responses", "Responses by response code", "rcode"),
        name: |index| Rcode(index as u16).to_string().into(),
    },
    Family {
        cells: QTYPES,
        json: "qtypes",
        xml: "qtype",
        heading: "Incoming Queries",
        zeros: Zeros::Hidden,
        metrics: Metrics::One("queries", "Queries by type", "type"),
        name: |index| if index == TYPES { OTHERS.into() } else { Rtype(index as u16).to_string().into() },
    },
    Family {
        cells: STATS.start..STATS.start + MAINTENANCE,
        json: "nsstats",
        xml: "nsstat",
        heading: "Name Server Statistics",
        zeros: Zeros::InXml,
        metrics: Metrics::Rows,
        name: |index| ROWS[index].name.into(),
    },
    Family {
        cells: STATS.start + MAINTENANCE..STATS.end,
        json: "zonestats",
        xml: "zonestat",
        heading: "Zone Maintenance Statistics",
        zeros: Zeros::InXml,
        metrics: Metrics::Rows,
        name: |index| ROWS[MAINTENANCE + index].name.into(),
    },
];

/// The same families in the order of the statistics file.
pub(super) const SECTIONS: [&Family; 5] = [&FAMILIES[0], &FAMILIES[2], &FAMILIES[1], &FAMILIES[3], &FAMILIES[4]];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_counter_has_one_cell_and_one_name() {
        let mut cells = BTreeSet::new();
        for family in &FAMILIES {
            let names: BTreeSet<_> = family.counters().map(|(name, _)| name).collect();
            assert_eq!(names.len(), family.cells.len(), "{}", family.json);
            cells.extend(family.cells.clone());
        }
        for (_, cell) in Way::ALL.into_iter().flat_map(Way::histograms).flatten() {
            assert!(cells.insert(cell), "{cell}");
        }
        assert_eq!(cells.len(), CELLS);
        assert_eq!(cells.last(), Some(&(CELLS - 1)));
    }

    #[test]
    fn every_metric_of_a_row_is_explained_once() {
        let used: BTreeSet<_> = ROWS.iter().map(|row| row.metric.0).filter(|metric| !metric.is_empty()).collect();
        let explained: BTreeSet<_> = ABOUT.iter().map(|(metric, _)| *metric).collect();
        assert_eq!((used, explained.len()), (explained, ABOUT.len()));
    }

    #[test]
    fn sizes_beyond_the_last_step_are_counted_together() {
        let way = Way { tcp: true, v6: true };
        let [requests, responses] = way.histograms();
        let name = |histogram: &[(String, usize)], cell| {
            histogram.iter().find(|(_, known)| *known == cell).map(|(name, _)| name.clone())
        };
        assert_eq!(name(&requests, way.request(47)).as_deref(), Some("32-47"));
        assert_eq!(name(&requests, way.request(65_535)).as_deref(), Some("288+"));
        assert_eq!(name(&responses, way.response(4095)).as_deref(), Some("4080-4095"));
        assert_eq!(name(&responses, way.response(65_535)).as_deref(), Some("4096+"));
        assert_eq!(way.response(65_535), CELLS - 1);
    }
}
