//! The reply to a command: a text, or a failure with the number and the words that BIND 9.18 has for it.

/// The reply to a command: a text, which may be empty, or why the command failed.
pub type Reply = Result<String, CommandError>;

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError {
    /// The kind of failure, which rndc shows and programs look for.
    pub failure: Failure,
    /// More for rndc to show; may be empty.
    pub text: String,
}

/// Declares the failures of commands: the number in the reply, and the text that clients look for.
macro_rules! failures {
    ($($failure:ident = $code:literal $text:literal,)*) => {
        /// Why a command failed, in the numbers and words of BIND 9.18.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)] // The texts say it.
        pub enum Failure { $($failure,)* }

        impl Failure {
            /// BIND's number for it.
            pub fn code(self) -> u32 {
                match self { $(Failure::$failure => $code,)* }
            }

            /// BIND's words for it.
            pub fn text(self) -> &'static str {
                match self { $(Failure::$failure => $text,)* }
            }
        }
    };
}

failures! {
    NoPermission = 6 "permission denied",
    Exists = 18 "already exists",
    NoSpace = 19 "ran out of space",
    NotFound = 23 "not found",
    UnexpectedEnd = 24 "unexpected end of input",
    Failure = 25 "failure",
    InvalidFile = 30 "invalid file",
    UnexpectedToken = 32 "unexpected token",
    Unexpected = 34 "unexpected error",
    FileNotFound = 38 "file not found",
    OutOfRange = 41 "out of range",
    BadHex = 49 "bad hex encoding",
    BadNumber = 56 "not a valid number",
    Multiple = 62 "multiple",
    Syntax = 89 "syntax error",
    NotLoaded = 123 "zone not loaded",
    Frozen = 154 "already frozen",
    Dynamic = 171 "dynamic zone",
    UnknownCommand = 172 "unknown command",
    NotPrimary = 178 "not primary",
    NotDynamic = 181 "not dynamic",
}

impl CommandError {
    /// A failure, with a text for people.
    pub fn new(failure: Failure, text: impl Into<String>) -> CommandError {
        CommandError { failure, text: text.into() }
    }
}

/// An error without more text.
impl From<Failure> for CommandError {
    fn from(failure: Failure) -> CommandError {
        CommandError { failure, text: String::new() }
    }
}
