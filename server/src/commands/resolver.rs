//! Commands that matter only to a resolver: caches, validation, trust anchors. They do nothing, and reply as named does
//! with recursion and validation off.

use jiff::Zoned;
use tracing::info;

use super::{argument, switch};
use crate::{
    control::{CommandError, Failure, Reply},
    serve::Running,
    zones::View,
};

/// `flush [VIEW]`
pub(super) fn flush(server: &mut Running, arguments: &[String]) -> Reply {
    let flushed = view(server, arguments.first(), Failure::NotFound)?;
    match arguments.first() {
        None => info!(target: "general", "flushing caches in all views succeeded"),
        Some(view) => info!(target: "general", "flushing cache in view '{view}' succeeded"),
    }
    Ok(flushed)
}

/// `flushname NAME [VIEW]`, `flushtree NAME [VIEW]`
pub(super) fn flush_names(server: &mut Running, arguments: &[String]) -> Reply {
    argument(arguments, 0)?;
    view(server, arguments.get(1), Failure::Failure)
}

/// `managed-keys (status | refresh | sync | destroy) [CLASS [VIEW]]`
pub(super) fn managed_keys(server: &mut Running, arguments: &[String]) -> Reply {
    let what = argument(arguments, 0)?;
    let of_each = |line: fn(&str) -> String| {
        let lines: Vec<_> = server.views().iter().map(|view| line(view)).collect();
        Ok(lines.join("\n"))
    };
    match what.to_ascii_lowercase().as_str() {
        "status" => of_each(|view| format!("view: {view}\nnext scheduled event: never")),
        "refresh" => of_each(|view| format!("refreshing managed keys for '{view}'")),
        "sync" | "destroy" => Ok(String::new()),
        _ => Err(CommandError::new(Failure::Unexpected, format!("unknown command '{what}'"))),
    }
}

/// `nta -dump`, `nta [OPTIONS] NAME [VIEW]`: names below which nothing is validated.
pub(super) fn negative_trust_anchor(_: &mut Running, arguments: &[String]) -> Reply {
    argument(arguments, 0)?;
    Ok(String::new())
}

/// `secroots [-] [VIEW …]`: the trust anchors, which are none. Without the hyphen, named would write them into a file.
pub(super) fn secure_roots(server: &Running, arguments: &[String]) -> String {
    let Some(("-", wanted)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) else {
        return String::new();
    };
    let views = server.views();
    let shown = views.iter().filter(|view| wanted.is_empty() || wanted.iter().any(|wanted| **wanted == ***view));
    let roots = shown.map(|view| format!("\n Start view {view}\n   Secure roots:\n\n   Negative trust anchors:\n\n"));
    let now = Zoned::now().strftime("%d-%b-%Y %H:%M:%S%.3f").to_string();
    format!("secure roots as of {now}:\n{}", roots.collect::<String>())
}

/// `serve-stale (on | off | reset | status) [CLASS [VIEW]]`
pub(super) fn serve_stale(server: &mut Running, arguments: &[String]) -> Reply {
    let what = argument(arguments, 0)?;
    if what.eq_ignore_ascii_case("status") {
        let views = server.views();
        let names = views.iter().map(|view| &**view).chain([View::CHAOS]);
        let lines: Vec<_> =
            names.map(|view| format!("{view}: stale cache disabled; stale answers unavailable")).collect();
        return Ok(lines.join("\n"));
    }
    let known = switch(what).is_some() || what.eq_ignore_ascii_case("reset");
    if known { Ok(String::new()) } else { Err(Failure::Syntax.into()) }
}

/// `validation (on | off | status) [VIEW]`
pub(super) fn validation(server: &mut Running, arguments: &[String]) -> Reply {
    let (what, wanted) = (argument(arguments, 0)?, arguments.get(1));
    if switch(what).is_some() {
        return view(server, wanted, Failure::Failure);
    }
    if !["status", "check"].iter().any(|known| known.eq_ignore_ascii_case(what)) {
        return Err(Failure::Syntax.into());
    }
    let views = server.views();
    let shown = views.iter().filter(|view| wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(view)));
    let lines: Vec<_> = shown.map(|view| format!("DNSSEC validation is disabled (view {view})")).collect();
    Ok(lines.join("\n"))
}

/// Succeeds with an empty text if there is a view of that name, or none is asked for.
fn view(server: &Running, wanted: Option<&String>, otherwise: Failure) -> Reply {
    let is_there = wanted.is_none_or(|wanted| server.views().iter().any(|view| view.eq_ignore_ascii_case(wanted)));
    if is_there { Ok(String::new()) } else { Err(otherwise.into()) }
}
