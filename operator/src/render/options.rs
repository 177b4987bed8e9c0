//! The `options` statement of a server, as it is declared or as a user has written it. Without some of its statements no
//! server gets its zones, so that these become a part of a user's own, too.

use std::fmt::Write;

use zonefmt::{
    conf::{self, Statement},
    diagnostics::{Diagnostic, Source},
};

use crate::api::FieldError;

/// A statement of `options`.
pub(super) struct Setting {
    pub(super) name: &'static str,
    /// What follows the name.
    pub(super) value: String,
    pub(super) beside: Beside,
}

/// What becomes of a setting in a user's own `options`.
pub(super) enum Beside {
    /// It is left out.
    Nothing,
    /// It is added unless there is one of this name.
    Missing,
    /// As that, and one of this name gets this element first.
    Element(String),
}

impl Setting {
    pub(super) fn new(name: &'static str, value: impl Into<String>) -> Setting {
        Setting { name, value: value.into(), beside: Beside::Missing }
    }

    pub(super) fn beside(self, beside: Beside) -> Setting {
        Setting { beside, ..self }
    }
}

/// The statement.
pub(super) fn text(settings: &[Setting]) -> String {
    let mut text = "options {\n".to_owned();
    for Setting { name, value, .. } in settings {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\t{name} {value};");
    }
    text + "};\n"
}

/// The text of a user's own file, with the settings that it lacks. Its lines keep their numbers.
///
/// # Errors
/// It has not the form of a configuration.
pub(super) fn completed(own: &str, settings: &[Setting]) -> Result<String, FieldError> {
    let source = Source::new("named.conf.options", own);
    let conf = conf::parse_part(source).map_err(|findings| FieldError {
        path: "configMapRefs.namedConfOptions".into(),
        message: findings.iter().find(|one| one.is_error()).map(Diagnostic::to_string).unwrap_or_default(),
        help: Some("`named-checkconf` and `bindyd --check` show the same of a file".into()),
    })?;
    let options = conf.statements().find("options");
    let mut insertions: Vec<(usize, String)> = Vec::new();
    let mut missing = String::new();
    for Setting { name, value, beside } in settings {
        let known = options.and_then(|options| options.block().find(name));
        match (known, beside) {
            (_, Beside::Nothing) | (Some(_), Beside::Missing) => {}
            (Some(known), Beside::Element(element)) => {
                insertions.extend(inside(known).map(|at| (at, format!(" {element};"))));
            }
            (None, _) => {
                let _ = write!(missing, " {name} {value};");
            }
        }
    }
    match options.and_then(inside) {
        Some(at) => insertions.push((at, missing)),
        None => insertions.push((own.len(), format!("\noptions {{{missing} }};\n"))),
    }
    insertions.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let mut text = own.to_owned();
    for (at, what) in insertions {
        text.insert_str(at, &what);
    }
    Ok(text)
}

/// Where the block of a statement begins.
fn inside(statement: Statement<'_>) -> Option<usize> {
    let block = statement.arguments().find(|part| part.block().is_some())?;
    Some(block.place().span?.start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Vec<Setting> {
        let key = || Beside::Element("key \"k\"".into());
        vec![
            Setting::new("directory", "\"/zones\""),
            Setting::new("allow-query", "{ key \"k\"; any; }").beside(key()),
            Setting::new("allow-transfer", "{ key \"k\"; }").beside(key()),
            Setting::new("rate-limit", "{ responses-per-second 15; }").beside(Beside::Nothing),
        ]
    }

    #[test]
    fn what_a_user_writes_prevails_and_its_lines_keep_their_numbers() {
        let own = "// options { };\noptions {\n  allow-query { internal; }; # a list\n  directory \"/data\";\n};\n";
        assert_eq!(
            completed(own, &settings()).unwrap(),
            "// options { };\noptions { allow-transfer { key \"k\"; };\n  allow-query { key \"k\"; internal; }; # a list\n  \
             directory \"/data\";\n};\n"
        );
        let none = completed("include \"/data/options\";\n# no more", &settings()).unwrap();
        let added =
            "options { directory \"/zones\"; allow-query { key \"k\"; any; }; allow-transfer { key \"k\"; }; };\n";
        assert_eq!(none, format!("include \"/data/options\";\n# no more\n{added}"));
        assert!(text(&settings()).contains("\trate-limit { responses-per-second 15; };\n"));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        let error = completed("options {\n  allow-query any;\n};", &settings()).unwrap_err();
        assert!(error.message.starts_with("named.conf.options:2:"), "{}", error.message);
    }
}
