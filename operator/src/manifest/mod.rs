//! Reads manifests: YAML or JSON documents, one or more in a file, become [`Resource`]s with their origin in the text.
//!
//! Documents are independent of each other, as with `kubectl apply`: one that cannot be read is reported with file,
//! line and column, and the others are used. [`Folder`] keeps the manifests of a whole folder and says what changed.
//! [`write()`] turns a zone into manifests.

mod folder;
mod locate;
mod write;
mod yaml;

pub use folder::{Folder, FolderError, Update, duplicate};
pub use write::{Unsayable, write};

use std::{marker::PhantomData, ops::Range};

use serde::de::DeserializeSeed;
use serde_json::Value;
use zonefmt::diagnostics::{Diagnostic, Position, Severity, Source, nearest};

use crate::{
    api::{self, FieldError, GROUP, Kind, Metadata, Moves, Note, Resource, ResourceId, VERSION},
    compile::{self, Finding, Reason},
};
use locate::{Part, document_ranges, locate, starts_of_items, syntax_error};

/// A resource, and where it was read.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The resource that was read.
    pub resource: Resource,
    /// The place where it was read.
    pub origin: Origin,
}

/// A resource that is not used, because a part of it cannot be read.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The identity of the resource.
    pub id: ResourceId,
    /// The place where it was read.
    pub origin: Origin,
    /// The errors in it. Each is among the diagnostics of the file, too.
    pub findings: Vec<Finding>,
}

/// The place of a resource in a file.
#[derive(Clone, Debug)]
pub struct Origin {
    source: Source,
    document: Range<usize>,
    /// The offset in the document at which the content starts.
    start: usize,
    /// The index of the resource in a `List`.
    item: Option<usize>,
    /// The places of fields that are written in a former spelling.
    moves: Moves,
}

/// The content of a file.
#[derive(Debug, Default)]
pub struct Reading {
    /// The resources that could be read, in the order of the text.
    pub manifests: Vec<Manifest>,
    /// The resources that could not be read, as far as their identity is known.
    pub refused: Vec<Refused>,
    /// Errors and warnings, and a note for each resource of a kind that is not used here.
    pub diagnostics: Vec<Diagnostic>,
}

/// The fields of every Kubernetes object.
const ENVELOPE: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

/// Reads all documents of a file.
pub fn read(source: &Source) -> Reading {
    let mut reading = Reading::default();
    let text = match std::str::from_utf8(source.text()) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let diagnostic = Diagnostic::error(source, at..at + 1, "not UTF-8");
            reading.diagnostics.push(diagnostic.help("save the file in UTF-8"));
            return reading;
        }
    };
    for document in document_ranges(text) {
        let start = document.start + locate::start(&text[document.clone()]);
        let origin = Origin { source: source.clone(), document, start, item: None, moves: Moves::default() };
        match serde_saphyr::from_str::<Value>(origin.text()) {
            Ok(mut value) => {
                api::remove_nulls(&mut value);
                reading.take(value, &origin);
            }
            Err(error) => {
                let (span, message, help) = syntax_error(origin.text(), &error);
                let diagnostic = Diagnostic::error(source, origin.in_file(span), message);
                reading.diagnostics.push(diagnostic.help(help));
            }
        }
    }
    reading
}

impl Reading {
    /// Whether a part of the file could not be read.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Reads the content of a document: one object, or a list of objects as `kubectl get -o yaml` prints it.
    fn take(&mut self, mut value: Value, origin: &Origin) {
        if value.is_null() {
            return;
        }
        let is_list = value["apiVersion"] == "v1" && value["kind"] == "List";
        match value.get_mut("items").and_then(Value::as_array_mut).filter(|_| is_list) {
            Some(items) => {
                let mut starts = starts_of_items(origin.text()).into_iter().map(|at| origin.document.start + at);
                for (number, item) in items.iter_mut().enumerate() {
                    let start = starts.next().unwrap_or(origin.start);
                    self.take_object(item, Origin { item: Some(number), start, ..origin.clone() });
                }
            }
            None => self.take_object(&mut value, origin.clone()),
        }
    }

    fn take_object(&mut self, value: &mut Value, mut origin: Origin) {
        let Some(kind) = self.kind(value, &origin) else { return };
        let written = value.get("spec").filter(|spec| api::has_former(kind, spec)).cloned();
        if let Some(spec) = value.get_mut("spec") {
            origin.moves = self.modernize(&origin, kind, spec);
        }
        let metadata = match self.typed(&origin, kind, "metadata", value, PhantomData::<Metadata>) {
            Ok(metadata) => metadata,
            Err(error) => return self.refuse_unnamed(kind, &value["metadata"], origin, error),
        };
        for (path, nearest) in
            value.get("spec").into_iter().flat_map(|spec| api::unknown_fields(api::spec_schema(kind), spec))
        {
            self.unknown_field(&origin, &format!("spec.{path}"), nearest.as_deref());
        }
        self.note(&origin, api::ineffective_fields(api::spec_schema(kind), &value["spec"]));
        for field in value.as_object().into_iter().flatten().map(|(field, _)| field) {
            if !ENVELOPE.contains(&field.as_str()) {
                self.unknown_field(&origin, field, None);
            }
        }
        let Metadata { name, namespace, labels, mut annotations, creation_timestamp: created } = metadata;
        let id = identity(kind, namespace.as_deref(), name);
        annotations.retain(|key, _| key.starts_with(GROUP));
        let spec = match self.typed(&origin, kind, "spec", value, kind) {
            Ok(spec) => spec,
            Err(FieldError { path, message, .. }) => {
                let path = path.strip_prefix("spec.").unwrap_or_default().to_owned();
                let findings = vec![Finding { reason: Reason::unreadable(kind), zone: None, path, message }];
                return self.refused.push(Refused { id, origin, findings });
            }
        };
        let resource = Resource { id, labels, annotations, created, spec };
        let mut findings = compile::check(&resource);
        for fault in &findings {
            let diagnostic = origin.diagnostic(Severity::Error, &fault.spec_path(), &fault.message);
            self.diagnostics.push(diagnostic);
        }
        findings.extend(self.admit(&origin, kind, value, &findings));
        if let Some(written) = written.filter(|_| findings.is_empty()) {
            // A former spelling without effect is refused by API servers all the same.
            findings.extend(self.refuse(
                &origin,
                kind,
                "spec",
                api::refusals_as_written(kind, &written),
                &mut Vec::new(),
            ));
        }
        if findings.is_empty() {
            self.manifests.push(Manifest { resource, origin });
        } else {
            self.refused.push(Refused { id: resource.id, origin, findings });
        }
    }

    /// Refuses a resource whose `metadata` cannot be read, if its name can.
    fn refuse_unnamed(&mut self, kind: Kind, metadata: &Value, origin: Origin, error: FieldError) {
        let Some(name) = metadata["name"].as_str() else { return };
        let id = identity(kind, metadata["namespace"].as_str(), name.to_owned());
        let findings =
            vec![Finding { reason: Reason::unreadable(kind), zone: None, path: String::new(), message: error.message }];
        self.refused.push(Refused { id, origin, findings });
    }

    /// Finds what an API server would refuse, except for what is `known`, and adds it to the diagnostics.
    fn admit(&mut self, origin: &Origin, kind: Kind, value: &Value, known: &[Finding]) -> Vec<Finding> {
        // The compiler's message about a field says more.
        let mut told: Vec<String> = known.iter().map(Finding::spec_path).collect();
        let metadata = api::metadata_refusals(&value["metadata"]);
        let mut findings = self.refuse(origin, kind, "metadata", metadata, &mut told);
        findings.extend(self.refuse(origin, kind, "spec", api::refusals(kind, &value["spec"]), &mut told));
        findings
    }

    /// Adds refusals in a part of an object to the diagnostics, except at fields of which something was `told`.
    fn refuse(
        &mut self,
        origin: &Origin,
        kind: Kind,
        part: &str,
        refusals: Vec<FieldError>,
        told: &mut Vec<String>,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        for FieldError { path, message, help } in refusals {
            let full = if path.is_empty() { part.to_owned() } else { format!("{part}.{path}") };
            if told.contains(&full) {
                continue;
            }
            let diagnostic = origin.diagnostic(Severity::Error, &full, format!("{full}: {message}"));
            self.diagnostics.push(match help {
                Some(help) => diagnostic.help(help),
                None => diagnostic,
            });
            told.push(full);
            let path = if part == "spec" { path } else { String::new() };
            findings.push(Finding { reason: Reason::unreadable(kind), zone: None, path, message });
        }
        findings
    }

    /// Replaces former spellings by current ones, and warns of them.
    fn modernize(&mut self, origin: &Origin, kind: Kind, spec: &mut Value) -> Moves {
        let (notes, moves) = api::modernize(kind, spec);
        self.note(origin, notes);
        moves
    }

    /// Warns of fields.
    fn note(&mut self, origin: &Origin, notes: Vec<Note>) {
        for Note { path, message, help, .. } in notes {
            let at = origin.locate(&format!("spec.{path}"), Part::Key);
            self.diagnostics.push(Diagnostic::warning(&origin.source, at, message).help(help));
        }
    }

    /// The kind of an object, if it is one of ours. Otherwise a diagnostic says why it is not used.
    fn kind(&mut self, value: &Value, origin: &Origin) -> Option<Kind> {
        let (Some(api_version), Some(kind)) = (value["apiVersion"].as_str(), value["kind"].as_str()) else {
            let help = format!("start it with `apiVersion: {GROUP}/{VERSION}` and `kind: …`");
            self.diagnostics.push(origin.diagnostic(Severity::Error, "", "not a Kubernetes resource").help(help));
            return None;
        };
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let name = value["metadata"]["name"].as_str().unwrap_or("without a name");
        let (at, diagnostic) = match Kind::from_name(kind) {
            _ if group != GROUP => ("kind", (Severity::Note, format!("{kind} {name} is not of {GROUP}: ignored"))),
            _ if version != VERSION => ("apiVersion", (Severity::Error, format!("{GROUP} has no version `{version}`"))),
            Some(kind) => return Some(kind),
            None => ("kind", (Severity::Error, format!("{GROUP} has no kind `{kind}`"))),
        };
        let (severity, message) = diagnostic;
        let diagnostic = origin.diagnostic(severity, at, message);
        self.diagnostics.push(match (severity, at) {
            (Severity::Note, _) => diagnostic,
            (_, "apiVersion") => diagnostic.help(format!("write `{GROUP}/{VERSION}`")),
            _ => diagnostic.help(match nearest(kind, Kind::all().map(Kind::name)) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => format!("the kinds are {}", kinds()),
            }),
        });
        None
    }

    /// Reads one part of an object. Errors are added to the diagnostics, and returned with their path in the object.
    fn typed<'v, S: DeserializeSeed<'v>>(
        &mut self,
        origin: &Origin,
        kind: Kind,
        part: &str,
        object: &'v Value,
        seed: S,
    ) -> Result<S::Value, FieldError> {
        let read = match object.get(part) {
            None => {
                let help = Some(format!("add `{part}:`"));
                Err(FieldError { path: "kind".into(), message: format!("there is no `{part}`"), help })
            }
            Some(value) => {
                let mut track = serde_path_to_error::Track::new();
                seed.deserialize(serde_path_to_error::Deserializer::new(value, &mut track)).map_err(|error| {
                    let path = match track.path().to_string() {
                        path if path == "." => part.to_owned(),
                        path => format!("{part}.{path}"),
                    };
                    let (message, help) = explain(kind, &path, &error.to_string());
                    FieldError { path, message, help }
                })
            }
        };
        read.inspect_err(|FieldError { path, message, help }| {
            let diagnostic = origin.diagnostic(Severity::Error, path, message);
            self.diagnostics.push(Diagnostic { help: help.clone(), ..diagnostic });
        })
    }

    fn unknown_field(&mut self, origin: &Origin, path: &str, nearest: Option<&str>) {
        let diagnostic =
            Diagnostic::warning(&origin.source, origin.locate(path, Part::Key), format!("unknown field `{path}`"));
        self.diagnostics.push(match nearest {
            Some(nearest) => diagnostic.help(format!("it has no effect; was `{nearest}` meant?")),
            None => diagnostic.help("it has no effect; remove it"),
        });
    }
}

impl Origin {
    /// The name of the file.
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// The line on which the resource starts, from 1.
    pub fn line(&self) -> usize {
        self.source.position(self.start).line
    }

    /// The line and column of a field of the resource; see [`Origin::diagnostic`].
    pub fn position(&self, path: &str) -> Position {
        self.source.position(self.locate(path, Part::Value).start)
    }

    /// A diagnostic that points to a field of the resource, such as `spec.name`; an empty path means the whole
    /// resource.
    pub fn diagnostic(&self, severity: Severity, path: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(severity, &self.source, self.locate(path, Part::Value), message)
    }

    fn locate(&self, path: &str, part: Part) -> Range<usize> {
        let path = match path.strip_prefix("spec.") {
            Some(field) => format!("spec.{}", self.moves.original(field)),
            None => path.to_owned(),
        };
        self.in_file(match self.item {
            Some(item) => locate(self.text(), &format!("items[{item}].{path}"), part),
            None => locate(self.text(), &path, part),
        })
    }

    /// The text of the document. A file that is not UTF-8 has no documents.
    fn text(&self) -> &str {
        self.source
            .text()
            .get(self.document.clone())
            .and_then(|text| std::str::from_utf8(text).ok())
            .unwrap_or_default()
    }

    fn in_file(&self, span: Range<usize>) -> Range<usize> {
        self.document.start + span.start..self.document.start + span.end
    }
}

/// The identity of a resource; without a namespace, it is in `default`, as with kubectl.
fn identity(kind: Kind, namespace: Option<&str>, name: String) -> ResourceId {
    let namespace = if kind.is_namespaced() { namespace.unwrap_or("default") } else { "" };
    ResourceId { namespace: namespace.to_owned(), name, kind }
}

/// The names of all kinds, for messages.
fn kinds() -> String {
    Kind::all().map(Kind::name).collect::<Vec<_>>().join(", ")
}

/// Translates an error of Serde into the terms of manifests.
fn explain(kind: Kind, path: &str, error: &str) -> (String, Option<String>) {
    const WORDS: &[(&str, &str)] = &[
        ("expected a sequence", "expected a list"),
        ("expected a map", "expected a mapping"),
        ("expected struct", "expected a mapping, not"),
    ];
    let mut message = error.to_owned();
    for (rust, plain) in WORDS {
        message = message.replace(rust, plain);
    }
    let bounds = path.strip_prefix("spec.").and_then(|path| api::bounds(api::spec_schema(kind), path));
    if let (Some((least, most)), Some(at)) = (bounds, message.find("expected u")) {
        message = format!("{}expected an integer from {least} to {most}", &message[..at]);
    }
    let help = if let Some(field) = error.strip_prefix("missing field ") {
        Some(format!("add {field} under `{path}`"))
    } else if error.ends_with("expected a string") && !error.contains("sequence") && !error.contains("map,") {
        Some("put it in quotes".into())
    } else if path == "metadata.creationTimestamp" {
        Some("write it as `2026-01-31T12:00:00Z`, or leave it out: the cluster sets it".into())
    } else if bounds.is_some() && error.contains("floating point") {
        Some("write a whole number without a point and without a zero in front".into())
    } else if error.ends_with("expected a sequence") {
        Some("write a list, `[…]`, or a line `- …` for each item".into())
    } else {
        None
    };
    (format!("{path}: {message}"), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Reading {
        read(&Source::new("t.yaml", text))
    }

    /// The diagnostics of a text, as `line:column: severity: message`.
    fn told(text: &str) -> Vec<String> {
        let lines = read_text(text).diagnostics.into_iter().map(|diagnostic| {
            let line = Diagnostic { help: None, ..diagnostic }.to_string();
            line.trim_start_matches("t.yaml:").to_owned()
        });
        lines.collect()
    }

    const RECORD: &str =
        "apiVersion: bindy.firestoned.io/v1beta1\nkind: MXRecord\nmetadata: {name: mx, labels: {zone: a}}\n";

    fn mx(spec: &str) -> String {
        format!("{RECORD}spec:\n  name: \"@\"\n  mailServer: mail\n{spec}")
    }

    #[test]
    fn documents_stand_by_themselves() {
        let good = mx("  priority: 10\n");
        let text =
            format!("# one\n---\n{good}---\nkind: [\n---\n{}...\n---\n", good.replace("name: mx", "name: other"));
        let reading = read_text(&text);
        let names: Vec<_> = reading.manifests.iter().map(|manifest| manifest.resource.id.to_string()).collect();
        assert_eq!(names, ["MXRecord default/mx", "MXRecord default/other"]);
        assert_eq!(reading.diagnostics.len(), 1);
        assert!(reading.has_errors());
    }

    #[test]
    fn errors_point_at_the_field() {
        assert_eq!(
            told(&mx("  priority: 70000\n")),
            ["7:13: error: spec.priority: invalid value: integer `70000`, expected an integer from 0 to 65535"]
        );
        assert_eq!(
            told(&mx("  priority: ten\n")),
            ["7:13: error: spec.priority: invalid type: string \"ten\", expected an integer from 0 to 65535"]
        );
        assert_eq!(
            told(&mx("  priority: 10\n  ttl: -1\n")),
            ["8:8: error: spec.ttl: invalid value: integer `-1`, expected an integer from 0 to 2147483647"]
        );
        assert_eq!(told(&mx("")), ["4:1: error: spec: missing field `priority`"]);
        assert_eq!(told(&mx("  priority: 10\n  weight: 1\n")), ["8:3: warning: unknown field `spec.weight`"]);
        assert_eq!(
            told(&mx("  priority: 10\n  ttl: 4294967295\n")),
            ["8:8: error: ttl: is over 2147483647, the most that DNS allows; write seconds, for example 3600"]
        );
    }

    #[test]
    fn fields_inside_lists_are_pointed_at() {
        let zone = |servers: &str| {
            let soa = "soaRecord: {primaryNs: ns1, adminEmail: admin}";
            let text = RECORD.replace("MXRecord", "DNSZone");
            read_text(&format!(
                "{text}spec:\n  zoneName: a.example\n  {soa}\n  nameServers:\n  - hostname: ns1\n{servers}"
            ))
        };
        let told = |servers: &str| zone(servers).diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(told("    ipv4Address: 192.0.2.1\n"), [""; 0]);
        assert_eq!(
            told("    ipv4Adress: 192.0.2.1\n"),
            [
                "t.yaml:9:5: warning: unknown field `spec.nameServers[0].ipv4Adress` (it has no effect; was `ipv4Address` \
                 meant?)"
            ]
        );
        assert_eq!(
            told("  - hostname: [ns2]\n"),
            ["t.yaml:9:5: error: spec.nameServers[1].hostname: invalid type: sequence, expected a string"]
        );
        assert_eq!(
            told("  - ipv4Address: 192.0.2.1\n"),
            ["t.yaml:9:5: error: spec.nameServers[1]: missing field `hostname` (add `hostname` under \
                 `spec.nameServers[1]`)"]
        );
    }

    #[test]
    fn errors_in_former_spellings_point_at_what_is_written() {
        let text = RECORD.replace("MXRecord", "ARecord");
        let told = told(&format!("{text}spec:\n  name: a\n  ipv4Address: nonsense\n"));
        assert_eq!(told[0], "6:3: warning: `ipv4Address` is a former spelling");
        assert!(told[1].starts_with("6:16: error: ipv4Addresses[0]: "), "{told:?}");
    }

    #[test]
    fn records_of_any_type_are_checked_where_they_are_written() {
        let set = |spec: &str| told(&format!("{}spec: {{name: a, {spec}}}\n", RECORD.replace("MXRecord", "RecordSet")));
        assert_eq!(set("type: https, rdata: ['1 . alpn=h2', '0 www']"), Vec::<String>::new());
        assert_eq!(
            set("type: FOO, rdata: ['1']"),
            ["4:23: error: spec.type: `FOO` is no record type; write `TYPE123` for one without a name"]
        );
        assert_eq!(
            set("type: SOA, rdata: ['1']"),
            ["4:23: error: type: SOA is the zone's own; write it as `soaRecord` of the DNSZone"]
        );
        let refused = |spec: &str, at: &str| {
            let told = set(spec);
            assert!(told.len() == 1 && told[0].starts_with(at), "{told:?}");
        };
        refused("type: ANY, rdata: [x]", "4:23: error: type: ANY is no type of data");
        refused("type: NSEC, rdata: [x]", "4:23: error: type: NSEC belongs to a signed zone");
        refused("type: TLSA, rdata: ['3 1 1 ab', '3 1 ab']", "4:49: error: rdata[1]: TLSA ");
        refused("type: TXT, rdata: ['v=DKIM1; k=rsa']", "4:36: error: rdata[0]: a `;` starts a comment");
    }

    #[test]
    fn a_resource_whose_metadata_cannot_be_read_is_refused() {
        let text = mx("  priority: 10\n");
        for (wrong, at, help) in [
            ("labels: {zone: 1}", "3:37: error: metadata.labels.zone: invalid type: integer `1`", "put it in quotes"),
            (
                "creationTimestamp: now",
                "3:41: error: metadata.creationTimestamp: ",
                "write it as `2026-01-31T12:00:00Z`",
            ),
        ] {
            let text = text.replace("labels: {zone: a}", wrong);
            let reading = read_text(&text);
            assert!(told(&text).len() == 1 && told(&text)[0].starts_with(at), "{:?}", told(&text));
            assert!(reading.diagnostics[0].help.as_deref().unwrap().starts_with(help), "{:?}", reading.diagnostics);
            assert_eq!(reading.refused[0].id.to_string(), "MXRecord default/mx");
        }
    }

    #[test]
    fn a_number_with_a_zero_in_front_is_told_so() {
        let reading = read_text(&mx("  priority: 010\n"));
        let help = reading.diagnostics[0].help.as_deref();
        assert_eq!(help, Some("write a whole number without a point and without a zero in front"));
    }

    #[test]
    fn a_list_of_kubectl_is_its_items() {
        let item = mx("  priority: 10\n").replace('\n', "\n  ");
        let text = format!("apiVersion: v1\nkind: List\nitems:\n- {item}\n- {}", item.replace("10", "ten"));
        let reading = read_text(&text);
        assert_eq!(reading.manifests.len(), 1);
        assert_eq!(told(&text).len(), 1);
        assert!(told(&text)[0].starts_with("18:15: error: spec.priority"), "{:?}", told(&text));
        assert_eq!((reading.manifests[0].origin.line(), reading.refused[0].origin.line()), (4, 12));
        assert_eq!(reading.refused[0].findings[0].path, "priority");
    }

    #[test]
    fn a_resource_starts_where_its_first_field_is() {
        let text = format!("# one\n\n--- # two\n# three\n{RECORD}spec: {{name: a, priority: 1, mailServer: b}}\n");
        let reading = read_text(&text);
        assert_eq!(reading.manifests[0].origin.line(), 5);
    }

    #[test]
    fn json_is_read_too() {
        let text = r#"{"apiVersion": "bindy.firestoned.io/v1beta1", "kind": "ARecord", "metadata": {"name": "a"},
            "spec": {"name": "www", "ipv4Addresses": ["192.0.2.1"]}}"#;
        assert_eq!(read_text(text).manifests.len(), 1);
    }

    #[test]
    fn a_null_field_is_an_absent_one() {
        let text = mx("  priority: 10\n  ttl:\n  more: ~\n").replace("labels: {zone: a}", "labels: ");
        assert_eq!(told(&text), Vec::<String>::new());
        assert_eq!(told(&mx("  priority:\n")), ["4:1: error: spec: missing field `priority`"]);
    }

    #[test]
    fn no_text_is_too_odd() {
        for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000), "- - *a\n&a x: &a".into()] {
            assert!(read_text(&text).has_errors());
        }
        let laughs = (1..40).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
            let before = n - 1;
            format!("{text}a{n}: &a{n} [*a{before}, *a{before}, *a{before}]\n")
        });
        assert!(read_text(&laughs).has_errors());
    }

    #[test]
    fn what_has_no_meaning_here_is_noted() {
        let other =
            |version: &str, kind: &str| told(&format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\n"));
        assert_eq!(other("v1", "Namespace"), ["2:7: note: Namespace x is not of bindy.firestoned.io: ignored"]);
        assert_eq!(
            other("bindy.firestoned.io/v1beta1", "ARecrod"),
            ["2:7: error: bindy.firestoned.io has no kind `ARecrod`"]
        );
        let misspelt = read_text("apiVersion: bindy.firestoned.io/v1beta1\nkind: Arecord\nmetadata: {name: x}\n");
        assert_eq!(misspelt.diagnostics[0].help.as_deref(), Some("did you mean ARecord?"));
        assert_eq!(
            other("bindy.firestoned.io/v1alpha1", "ARecord"),
            ["1:13: error: bindy.firestoned.io has no version `v1alpha1`"]
        );
        assert_eq!(told("hello: world\n"), ["1:1: error: not a Kubernetes resource"]);
    }
}
