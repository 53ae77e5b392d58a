//! JSON values that pass by as the texts they are.

use std::borrow::Cow;
use std::fmt;

use super::{Cursor, Read};

/// The text of one valid value, without white space around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    pub const NULL: Self = Self("null");
    pub const EMPTY_OBJECT: Self = Self("{}");

    /// `text` was read as one value, or written as one.
    pub(crate) fn of(text: &'a str) -> Self {
        Self(text)
    }

    pub fn get(self) -> &'a str {
        self.0
    }

    pub fn is_null(self) -> bool {
        self.0 == "null"
    }
}

impl<'a> Read<'a> for Raw<'a> {
    fn read(at: &mut Cursor<'a>) -> Self {
        at.raw()
    }

    fn blank() -> Self {
        Self::NULL
    }
}

impl fmt::Display for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The text of a value that goes out as it stands: one that came in, or one made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verbatim<'a>(Cow<'a, str>);

impl Verbatim<'_> {
    /// `text` was written as one value.
    pub(crate) fn made(text: String) -> Self {
        Self(Cow::Owned(text))
    }

    pub fn get(&self) -> &str {
        &self.0
    }
}

impl<'a> From<Raw<'a>> for Verbatim<'a> {
    fn from(raw: Raw<'a>) -> Self {
        Self(Cow::Borrowed(raw.0))
    }
}
