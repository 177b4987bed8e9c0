//! Trust anchors: checks that each is well-formed, and that those of a name are either all static or all initial.

use rustc_hash::FxHashMap;

use crate::{
    Name,
    conf::{Conf, Part, Statement, Statements, values::number},
    diagnostics::Findings,
};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

/// The statements that contain anchors.
const HOLDERS: [&str; 3] = ["trust-anchors", "managed-keys", "trusted-keys"];

/// Checks the anchors outside of views, and the anchors of each view together with those.
pub(super) fn check(conf: &Conf, findings: &mut Findings) {
    let options = conf.statements().find("options").map(Statement::block);
    let mut outside = Anchors { initial: FxHashMap::default(), with_auto: is_auto(options.as_ref()) };
    outside.take(&conf.statements(), findings);
    for view in conf.statements().all("view") {
        let block = view.block();
        let with_auto =
            if block.find("dnssec-validation").is_some() { is_auto(Some(&block)) } else { outside.with_auto };
        Anchors { initial: outside.initial.clone(), with_auto }.take(&block, findings);
    }
}

fn is_auto(block: Option<&Statements<'_>>) -> bool {
    let value = block.and_then(|block| block.find("dnssec-validation")?.argument());
    value.is_some_and(|value| value.is("auto"))
}

struct Anchors<'c> {
    /// For each name its first anchor, and whether that is an initial one.
    initial: FxHashMap<Name, (bool, Part<'c>)>,
    /// Whether `dnssec-validation auto` brings the built-in anchor of the root.
    with_auto: bool,
}

impl<'c> Anchors<'c> {
    fn take(&mut self, block: &Statements<'c>, findings: &mut Findings) {
        if let (Some(former), Some(_)) = (block.find("managed-keys"), block.find("trust-anchors")) {
            findings.push(
                former.error("`managed-keys` beside `trust-anchors`").help("write all of them in `trust-anchors`"),
            );
        }
        for holder in block.clone().filter(|found| HOLDERS.contains(&found.name())) {
            for anchor in holder.block() {
                self.anchor(anchor, findings);
            }
        }
    }

    fn anchor(&mut self, anchor: Statement<'c>, findings: &mut Findings) {
        let parts: Vec<_> = anchor.arguments().collect();
        // `trusted-keys` does not say the kind of its anchors.
        let (name, kind, rest) = match parts[..] {
            [name, kind, ref rest @ ..] if number(&kind.text()).is_none() => {
                (name, kind.shown().to_ascii_lowercase(), rest)
            }
            [name, ref rest @ ..] => (name, "static-key".to_owned(), rest),
            [] => return,
        };
        let [first, second, third, data] = *rest else { return };
        let is_digest = kind.ends_with("ds");
        for (part, most) in [(first, 65_535), (second, 255), (third, 255)] {
            if number(&part.text()).is_some_and(|value| value > most) {
                findings.push(
                    part.error(format!("`{}` is too large", part.shown())).help(format!("write a number up to {most}")),
                );
            }
        }
        let mut text = data.text().into_owned();
        text.retain(|octet| !octet.is_ascii_whitespace());
        if is_digest && HEXLOWER_PERMISSIVE.decode(&text).is_err() {
            findings.push(data.error("the digest is not hexadecimal").help("copy it from the DS record"));
        } else if !is_digest && BASE64.decode(&text).is_err() {
            findings.push(data.error("the key is no base64").help("copy it from the DNSKEY record"));
        }
        let Ok(owner) = Name::from_ascii(name.text()) else { return };
        let initial = kind.starts_with("initial");
        if !initial && self.with_auto && owner.as_ref().is_root() {
            let error = name.error("a static anchor of the root beside `dnssec-validation auto`");
            findings.push(error.help("remove it, or write `dnssec-validation yes`"));
        }
        let &mut (before, first) = self.initial.entry(owner).or_insert((initial, name));
        if before != initial {
            let error = name.error(format!("static and initial anchors of `{}`", name.shown()));
            findings.push(error.related(first.place(), "one of the other kind").help("write anchors of one kind"));
        }
    }
}
