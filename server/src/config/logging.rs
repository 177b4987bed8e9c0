//! The `logging` statement: channels, and the categories that are written to each.

use std::path::Path;

use zonefmt::conf::{Parts, Statement, Statements, values};

use super::scope::path;
use crate::logs::{Channel, Facility, Form, LogFile, Logging, Output, Severity, Suffix, Threshold, Times, Versions};

/// The logging that named.conf describes, with the channels that need no definition.
pub(super) fn read(logging: Option<Statement<'_>>, options: Option<Statement<'_>>, directory: &Path) -> Logging {
    let option = |name| options?.block().find(name)?.argument();
    let sample = option("querylog-sample").and_then(|part| values::number(&part.text()));
    let mut read = Logging { sample: sample.unwrap_or(1), ..Logging::built_in(directory) };
    let all = |name| logging.into_iter().flat_map(Statement::block).filter(move |inner| inner.name() == name);
    read.channels.extend(all("channel").filter_map(|statement| channel(statement, directory)));
    for category in all("category") {
        let Some(name) = category.argument() else { continue };
        let known = |part: &Statement<'_>| part.argument().map(zonefmt::conf::Part::shown);
        let to = category.block().filter_map(|part| read.channel(&known(&part)?)).collect::<Vec<_>>();
        read.categories.entry(name.shown().to_ascii_lowercase()).or_default().extend(to);
    }
    // Without the statement, queries are logged if their category has a channel.
    let written = option("querylog").and_then(|part| values::yes_no(&part.text()));
    read.querylog = written.unwrap_or_else(|| read.categories.contains_key("queries"));
    read
}

fn channel(statement: Statement<'_>, directory: &Path) -> Option<Channel> {
    let block = statement.block();
    let switch = |name| {
        let argument = block.find(name).and_then(Statement::argument);
        argument.is_some_and(|part| values::yes_no(&part.text()) == Some(true))
    };
    let output = if let Some(file) = block.find("file") {
        Output::File(log_file(file.arguments(), directory, switch("buffered"))?)
    } else if let Some(syslog) = block.find("syslog") {
        let named = syslog.argument().and_then(|part| Facility::from_name(&part.shown()));
        Output::Syslog(named.unwrap_or(Facility::DAEMON))
    } else if block.find("stderr").is_some() {
        Output::Stderr
    } else {
        Output::Null
    };
    let (category, severity) = (switch("print-category"), switch("print-severity"));
    let form = if switch("print-json") { Form::Json } else { Form::Text { times: times(&block), category, severity } };
    Some(Channel { threshold: threshold(&block), form, ..Channel::new(&statement.argument()?.shown(), output) })
}

/// Reads `NAME [versions …] [size …] [suffix …]`, the arguments of `file`.
pub(super) fn log_file(mut arguments: Parts<'_>, directory: &Path, buffered: bool) -> Option<LogFile> {
    let path = directory.join(path(&arguments.next()?.text()));
    let size = arguments.clone().behind("size").and_then(|size| values::size(&size.text())).filter(|&size| size > 0);
    let suffix = arguments.clone().behind("suffix").filter(|suffix| suffix.is("timestamp"));
    let versions = match arguments.behind("versions") {
        Some(part) if part.is("unlimited") => Versions::Unlimited,
        Some(part) => Versions::Number(values::number(&part.text())?),
        None => Versions::None,
    };
    let suffix = suffix.map_or(Suffix::Increment, |_| Suffix::Timestamp);
    Some(LogFile { size, versions, suffix, buffered, ..LogFile::plain(path) })
}

fn threshold(channel: &Statements<'_>) -> Threshold {
    let fixed = [
        ("critical", Severity::Critical),
        ("error", Severity::Error),
        ("warning", Severity::Warning),
        ("notice", Severity::Notice),
    ];
    let Some(statement) = channel.find("severity") else { return Threshold::Fixed(Severity::Info) };
    let mut arguments = statement.arguments();
    match arguments.next() {
        Some(part) if part.is("dynamic") => Threshold::Dynamic,
        Some(part) if part.is("debug") => {
            let level = arguments.next().and_then(|level| values::number(&level.text()));
            Threshold::Fixed(Severity::Debug(level.unwrap_or(1)))
        }
        part => {
            let named = part.and_then(|part| fixed.into_iter().find(|(name, _)| part.is(name)));
            Threshold::Fixed(named.map_or(Severity::Info, |(_, severity)| severity))
        }
    }
}

fn times(channel: &Statements<'_>) -> Times {
    match channel.find("print-time").and_then(Statement::argument) {
        Some(part) if part.is("iso8601") => Times::Iso,
        Some(part) if part.is("iso8601-utc") => Times::IsoUtc,
        Some(part) if part.is("local") || values::yes_no(&part.text()) == Some(true) => Times::Local,
        _ => Times::Hidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Config, Overrides},
        logs::{DEFAULT_CATEGORY, DefaultLog},
    };
    use zonefmt::diagnostics::Source;

    fn read(logging: &str) -> Logging {
        let text = format!("options {{ directory \"/tmp\"; }}; {logging}");
        Config::parse(Source::new("named.conf", text), Overrides::default()).unwrap().logging
    }

    fn goes(logging: &Logging, category: &str) -> Vec<String> {
        let channels = logging.categories.get(category).or_else(|| logging.categories.get(DEFAULT_CATEGORY)).unwrap();
        channels.iter().map(|&index| logging.channels[index].name.clone()).collect()
    }

    #[test]
    fn every_form_of_a_channel() {
        let of = |channel: &str| {
            let logging = read(&format!("logging {{ channel c {{ {channel} }}; }};"));
            logging.channels.into_iter().next_back().unwrap()
        };
        let file =
            of("file \"a\" versions 3 size 2k suffix timestamp; buffered yes; severity debug 7; print-json yes;");
        let wanted = LogFile {
            path: "/tmp/a".into(),
            size: Some(2048),
            versions: Versions::Number(3),
            suffix: Suffix::Timestamp,
            buffered: true,
            later: false,
        };
        assert_eq!((file.output, file.form), (Output::File(wanted), Form::Json));
        assert_eq!(file.threshold, Threshold::Fixed(Severity::Debug(7)));
        let unlimited = of("file \"/a\" versions unlimited size unlimited;").output;
        assert_eq!(unlimited, Output::File(LogFile { versions: Versions::Unlimited, ..LogFile::plain("/a".into()) }));
        assert_eq!(of("syslog;").output, Output::Syslog(Facility::DAEMON));
        assert_eq!(of("syslog LOCAL3;").output, Output::Syslog(Facility::from_name("local3").unwrap()));
        assert_eq!((of("stderr;").output, of("null;").output), (Output::Stderr, Output::Null));
        for (text, severity) in [
            ("critical", Severity::Critical),
            ("Error", Severity::Error),
            ("warning", Severity::Warning),
            ("notice", Severity::Notice),
            ("info", Severity::Info),
            ("debug", Severity::Debug(1)),
            ("debug 0", Severity::Debug(0)),
        ] {
            assert_eq!(of(&format!("null; severity {text};")).threshold, Threshold::Fixed(severity), "{text}");
        }
        assert_eq!(of("null; severity dynamic;").threshold, Threshold::Dynamic);
    }

    #[test]
    fn what_is_not_written_goes_where_default_goes() {
        let silent = read("").with_default(&DefaultLog::Syslog);
        assert_eq!(goes(&silent, "queries"), ["default_debug", "default_syslog"]);
        assert_eq!(goes(&silent, "unmatched"), [""; 0]);
        let written = read(
            "logging { channel a { null; }; category queries { a; default_stderr; }; category queries { null; }; };",
        );
        let with_file = written.with_default(&DefaultLog::File("log".into()));
        assert_eq!(goes(&with_file, "queries"), ["a", "default_stderr", "null"]);
        assert_eq!(goes(&with_file, "general"), ["default_debug", "default"]);
        let own = read("logging { category default { null; }; };").with_default(&DefaultLog::Syslog);
        assert_eq!(goes(&own, "general"), ["null"]);
        assert_eq!(goes(&own.with_default(&DefaultLog::Stderr), "general"), ["default"]);
    }
}
