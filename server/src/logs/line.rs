//! The format of an event as a line: named's, or JSON.

use std::fmt::{self, Write};

use jiff::{Timestamp, Zoned, tz::TimeZone};
use tracing::field::{Field, Visit};

use super::{Channel, Form, Severity, Times};

/// An event to be logged.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) time: Timestamp,
    pub(super) category: &'static str,
    pub(super) severity: Severity,
    pub(super) message: String,
    /// The event's own fields.
    pub(super) fields: Vec<(&'static str, Value)>,
    /// Fields whose values the message already contains; only JSON shows them.
    pub(super) details: Vec<(&'static str, Value)>,
}

/// The value of a field.
#[derive(Debug)]
pub(super) enum Value {
    Text(String),
    /// A number or boolean, which JSON writes without quotes.
    Plain(String),
}

impl Event {
    /// Formats the event for a channel, without a line end.
    pub(super) fn line(&self, channel: &Channel, zone: &TimeZone) -> String {
        let mut line = String::with_capacity(128);
        // Writing to a String cannot fail.
        let _ = match channel.form {
            Form::Text { times, category, severity } => {
                self.prefix(times, category, severity, zone, &mut line).and_then(|()| self.text(&mut line))
            }
            Form::Json => self.json(&mut line),
        };
        line
    }

    /// The time of the event in the machine's time zone.
    pub(super) fn time(&self, zone: &TimeZone) -> Zoned {
        self.time.to_zoned(zone.clone())
    }

    fn prefix(&self, times: Times, category: bool, severity: bool, zone: &TimeZone, line: &mut String) -> fmt::Result {
        match times {
            Times::Hidden => {}
            Times::Local => write!(line, "{} ", self.time(zone).strftime("%d-%b-%Y %H:%M:%S%.3f"))?,
            Times::Iso => write!(line, "{} ", self.time(zone).strftime("%Y-%m-%dT%H:%M:%S%.3f"))?,
            Times::IsoUtc => write!(line, "{} ", self.time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))?,
        }
        if category {
            write!(line, "{}: ", self.category)?;
        }
        if severity {
            write!(line, "{}: ", self.severity)?;
        }
        Ok(())
    }

    fn text(&self, line: &mut String) -> fmt::Result {
        line.push_str(&self.message);
        for (name, value) in &self.fields {
            let (Value::Text(value) | Value::Plain(value)) = value;
            write!(line, " {name}={value}")?;
        }
        Ok(())
    }

    /// Writes one object: `time` (RFC 3339, UTC), `severity`, `category`, `message`, then the event's fields.
    fn json(&self, line: &mut String) -> fmt::Result {
        write!(line, "{{\"time\":\"{}\"", self.time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))?;
        write!(line, ",\"severity\":\"{}\",\"category\":\"{}\"", self.severity, self.category)?;
        write!(line, ",\"message\":{}", quoted(&self.message))?;
        for (name, value) in self.fields.iter().chain(&self.details) {
            match value {
                Value::Text(text) => write!(line, ",\"{name}\":{}", quoted(text))?,
                Value::Plain(text) => write!(line, ",\"{name}\":{text}")?,
            }
        }
        line.push('}');
        Ok(())
    }
}

fn quoted(text: &str) -> serde_json::Value {
    serde_json::Value::from(text)
}

impl Visit for Event {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record(field, Value::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field, Value::Text(value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record(field, Value::Plain(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record(field, Value::Plain(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.record(field, Value::Plain(value.to_string()));
    }
}

impl Event {
    fn record(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Text(text) | Value::Plain(text)) => self.message = text,
            (name, value) => self.fields.push((name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{Logging, Output};

    fn channel(form: Form) -> Channel {
        Channel { form, ..Logging::to(Output::Stderr).channels.remove(0) }
    }

    fn event() -> Event {
        Event {
            time: Timestamp::new(1_795_248_300, 123_456_789).unwrap(),
            category: "general",
            severity: Severity::Debug(3),
            message: "a \"b\"".into(),
            details: vec![("detail", Value::Plain("true".into()))],
            fields: vec![("zone", Value::Text("x\n".into())), ("serial", Value::Plain("7".into()))],
        }
    }

    #[test]
    fn lines_of_named() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let line =
            |times, prints| event().line(&channel(Form::Text { times, category: prints, severity: prints }), &zone);
        assert_eq!(line(Times::Hidden, false), "a \"b\" zone=x\n serial=7");
        assert!(line(Times::Local, true).starts_with("21-Nov-2026 09:05:00.123 general: debug 3: a "));
        assert!(line(Times::Iso, false).starts_with("2026-11-21T09:05:00.123 a "));
        assert!(line(Times::IsoUtc, false).starts_with("2026-11-21T08:05:00.123Z a "));
    }

    #[test]
    fn lines_of_json() {
        let line = event().line(&channel(Form::Json), &TimeZone::UTC);
        assert_eq!(
            line,
            r#"{"time":"2026-11-21T08:05:00.123456Z","severity":"debug 3","category":"general","message":"a \"b\"","zone":"x\n","serial":7,"detail":true}"#
        );
    }
}
