//! Output for people, shared by all programs: colours where they are wanted, lines on standard error, counted nouns.

use std::{
    env, fmt,
    io::{self, IsTerminal, Write},
};

use crate::diagnostics::Colour;

/// The style of text that stands out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Emphasis {
    /// Bold.
    Bold,
    /// Red, for what is gone.
    Red,
    /// Green, for what is new.
    Green,
    /// Bold and red, for the word `error`.
    Alarm,
}

impl Colour {
    /// The setting for a stream: colours on a terminal, unless the environment has a `NO_COLOR` that is not empty
    /// (<https://no-color.org>).
    pub fn of(stream: &impl IsTerminal) -> Colour {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if stream.is_terminal() && !refused { Colour::Always } else { Colour::Never }
    }

    /// Shows text in a style, or plainly without colours.
    pub fn paint(self, emphasis: Emphasis, text: impl fmt::Display) -> impl fmt::Display {
        Painted { colour: self, emphasis, text }
    }
}

struct Painted<T> {
    colour: Colour,
    emphasis: Emphasis,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Painted { colour, emphasis, text } = self;
        if *colour == Colour::Never {
            return text.fmt(f);
        }
        let code = match emphasis {
            Emphasis::Bold => "1",
            Emphasis::Red => "31",
            Emphasis::Green => "32",
            Emphasis::Alarm => "1;31",
        };
        write!(f, "\x1b[{code}m{text}\x1b[0m")
    }
}

/// Prints a line on standard error.
pub fn complain(line: impl fmt::Display) {
    // An error here could not be reported anywhere.
    let _ = writeln!(io::stderr(), "{line}");
}

/// A number with its noun: `1 record`, `2 records`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_there_may_be_colours_text_has_them() {
        assert_eq!(Colour::Always.paint(Emphasis::Red, "gone").to_string(), "\x1b[31mgone\x1b[0m");
        assert_eq!(Colour::Never.paint(Emphasis::Red, "gone").to_string(), "gone");
    }
}
