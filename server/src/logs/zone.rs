//! A zone as log lines name it, in named's form.

use std::fmt;

use zonefmt::NameRef;

use crate::zones::View;

/// A zone in a log line: without the final dot, with its class, and with its view unless that is the default one.
#[derive(Clone, Copy)]
pub(crate) struct ZoneLine<'a> {
    pub(crate) origin: NameRef<'a>,
    pub(crate) view: &'a str,
}

impl fmt::Display for ZoneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/IN", self.origin.without_final_dot())?;
        if self.view == View::DEFAULT { Ok(()) } else { write!(f, "/{}", self.view) }
    }
}
