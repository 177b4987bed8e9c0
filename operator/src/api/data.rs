//! The fields of a record kind's `spec` that hold the data of its records, and the form of each. This module reads
//! them; [`crate::manifest::write()`] goes the other way.

use std::borrow::Cow;

use super::record_set::{Field, Rdata};

/// A field of a `spec` that holds data of records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DataField {
    /// The field's name in `spec`.
    pub name: &'static str,
    /// The form of its value.
    pub form: Form,
}

/// The form of a field's value. A list with an item for each record is the only data field of its kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A number.
    Number,
    /// A keyword.
    Word,
    /// The name that the record points to; see [`super::absolute`].
    Target,
    /// One character string.
    Quoted,
    /// A list of the record's character strings. A string of more than 255 octets becomes several.
    Strings,
    /// A list with an item for each record: the single field of that record's data.
    Each,
    /// A list with an item for each record: all of that record's data, as in a zone file.
    Lines,
}

/// The value of a field, as one text or as the items of a list.
pub(super) trait Value {
    fn texts(&self) -> Vec<Cow<'_, str>>;
}

impl Value for u8 {
    fn texts(&self) -> Vec<Cow<'_, str>> {
        vec![self.to_string().into()]
    }
}

impl Value for u16 {
    fn texts(&self) -> Vec<Cow<'_, str>> {
        vec![self.to_string().into()]
    }
}

impl Value for String {
    fn texts(&self) -> Vec<Cow<'_, str>> {
        vec![self.into()]
    }
}

impl Value for Vec<String> {
    fn texts(&self) -> Vec<Cow<'_, str>> {
        self.iter().map(Cow::from).collect()
    }
}

/// Returns the records that these fields, in the order of the data, stand for.
pub(super) fn records(fields: &[DataField], values: &[&dyn Value]) -> Vec<Rdata> {
    let texts = fields.iter().zip(values).map(|(field, value)| (*field, value.texts()));
    let mut one_record = Vec::new();
    for (DataField { name, form }, texts) in texts {
        let items = texts.iter().enumerate().map(|(i, text)| (format!("{name}[{i}]"), text));
        match form {
            Form::Each => return items.map(|(path, text)| Rdata::Fields(vec![Field::word(path, text)])).collect(),
            Form::Lines => {
                return items.map(|(path, text)| Rdata::Line { path, text: text.to_string() }).collect();
            }
            Form::Strings => one_record.extend(items.flat_map(|(path, text)| Field::strings(&path, text))),
            Form::Number | Form::Word => one_record.extend(texts.iter().map(|text| Field::word(name, text))),
            Form::Target => one_record.extend(texts.iter().map(|text| Field::target(name, text))),
            Form::Quoted => one_record.extend(texts.iter().map(|text| Field::quoted(name, text))),
        }
    }
    vec![Rdata::Fields(one_record)]
}
