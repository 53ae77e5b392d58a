//! Why a text is not the value that was due.

use std::fmt;

/// Never quotes the text, which may be part of a prompt: says what was due instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    fault: Fault,
    line: usize,
    column: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A value of another kind.
    Expected(&'static str),
    /// One of some words, which are called together as the first says.
    Word(&'static str, &'static [&'static str]),
    /// A field of this name.
    Missing(&'static str),
    Said(&'static str),
}

impl Error {
    pub(super) fn new(fault: Fault, text: &str, at: usize) -> Self {
        let before = text.as_bytes().get(..at).unwrap_or_default();
        let is_end = |byte: &u8| *byte == b'\n';
        let line_start = before.iter().rposition(is_end).map_or(0, |end| end + 1);
        let line = before.iter().filter(|byte| is_end(byte)).count() + 1;
        Self { fault, line, column: before.len() - line_start + 1 }
    }

    pub(super) fn not_utf8(error: std::str::Utf8Error) -> Self {
        Self { fault: Fault::Said("not UTF-8"), line: 1, column: error.valid_up_to() + 1 }
    }

    /// Counted from one, as [`Self::column`], which counts bytes.
    pub fn line(&self) -> usize {
        self.line
    }

    pub fn column(&self) -> usize {
        self.column
    }
}

/// Without the place, which is counted from the start of a value inside the body, where nobody can look it up.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Fault::Expected(due) | Fault::Word(due, _) => write!(f, "expected {due}"),
            Fault::Missing(name) => write!(f, "missing field `{name}`"),
            Fault::Said(fault) => f.write_str(fault),
        }
    }
}
