//! Commands about what only a resolver has: caches, validation, trust anchors. There is nothing to do, and that is done;
//! who asks is told what named tells with recursion and validation off.

#![allow(clippy::unnecessary_wraps)] // All commands have one form.

use jiff::Zoned;

use super::{
    Failure, Outcome,
    command::{argument, is_word},
};
use crate::{serve::Running, zones::View};

/// `flush [VIEW]`
pub(super) fn flush(server: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    view(server, arguments.first(), Failure::NotFound).map(|()| Outcome::done())
}

/// `flushname NAME [VIEW]`, `flushtree NAME [VIEW]`
pub(super) fn flush_names(server: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    argument(arguments, 0)?;
    view(server, arguments.get(1), Failure::Failure).map(|()| Outcome::done())
}

/// `managed-keys (status | refresh | sync | destroy) [CLASS [VIEW]]`
pub(super) fn managed_keys(server: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    let what = argument(arguments, 0)?;
    let of_each = |line: fn(&str) -> String| {
        let lines: Vec<_> = server.views().iter().map(|view| line(view)).collect();
        Ok(Outcome::told(lines.join("\n")))
    };
    match what.to_ascii_lowercase().as_str() {
        "status" => of_each(|view| format!("view: {view}\nnext scheduled event: never")),
        "refresh" => of_each(|view| format!("refreshing managed keys for '{view}'")),
        "sync" | "destroy" => Ok(Outcome::done()),
        _ => Err(Outcome::failed(Failure::Unexpected, format!("unknown command '{what}'"))),
    }
}

/// `nta -dump`, `nta [OPTIONS] NAME [VIEW]`: what would not be validated otherwise.
pub(super) fn negative_trust_anchor(_: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    argument(arguments, 0).map(|_| Outcome::done())
}

/// `secroots [-] [VIEW …]`: without the hyphen there is a file to write, which would say that there are none.
pub(super) fn secure_roots(server: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    let Some(("-", wanted)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) else {
        return Ok(Outcome::done());
    };
    let views = server.views();
    let shown = views.iter().filter(|view| wanted.is_empty() || wanted.iter().any(|wanted| **wanted == ***view));
    let roots = shown.map(|view| format!("\n Start view {view}\n   Secure roots:\n\n   Negative trust anchors:\n\n"));
    let now = Zoned::now().strftime("%d-%b-%Y %H:%M:%S%.3f").to_string();
    Ok(Outcome::told(format!("secure roots as of {now}:\n{}", roots.collect::<String>())))
}

/// `serve-stale (on | off | reset | status) [CLASS [VIEW]]`
pub(super) fn serve_stale(server: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    let what = argument(arguments, 0)?;
    if what.eq_ignore_ascii_case("status") {
        let views = server.views();
        let names = views.iter().map(|view| &**view).chain([View::CHAOS]);
        let lines: Vec<_> =
            names.map(|view| format!("{view}: stale cache disabled; stale answers unavailable")).collect();
        return Ok(Outcome::told(lines.join("\n")));
    }
    let known = is_word(what, true) || is_word(what, false) || what.eq_ignore_ascii_case("reset");
    if known { Ok(Outcome::done()) } else { Err(Outcome::failed(Failure::Syntax, "")) }
}

/// `validation (on | off | status) [VIEW]`
pub(super) fn validation(server: &mut Running, arguments: &[String]) -> Result<Outcome, Outcome> {
    let (what, wanted) = (argument(arguments, 0)?, arguments.get(1));
    if is_word(what, true) || is_word(what, false) {
        return view(server, wanted, Failure::Failure).map(|()| Outcome::done());
    }
    if !["status", "check"].iter().any(|known| known.eq_ignore_ascii_case(what)) {
        return Err(Outcome::failed(Failure::Syntax, ""));
    }
    let views = server.views();
    let shown = views.iter().filter(|view| wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(view)));
    let lines: Vec<_> = shown.map(|view| format!("DNSSEC validation is disabled (view {view})")).collect();
    Ok(Outcome::told(lines.join("\n")))
}

/// Whether there is a view of that name, if one is named.
fn view(server: &Running, wanted: Option<&String>, otherwise: Failure) -> Result<(), Outcome> {
    let is_there = wanted.is_none_or(|wanted| server.views().iter().any(|view| view.eq_ignore_ascii_case(wanted)));
    if is_there { Ok(()) } else { Err(Outcome::failed(otherwise, "")) }
}
