//! What a request holds or wants that not every model can do.

use crate::wire::json::words;

words! {
    /// One of [`Needs`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Need = "something that a request may need" {
        Stream as "stream",
        Tools as "tools",
        Images as "images",
        Audio as "audio",
        Documents as "documents",
        /// An answer that follows a JSON Schema.
        Schema as "schema",
        Reasoning as "reasoning",
    }
}

/// A set of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs(u8);

impl Need {
    /// As a message has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stream => "streams",
            Self::Schema => "a schema for its answer",
            named => named.word(),
        }
    }
}

impl Needs {
    #[must_use]
    pub fn with(self, need: Need) -> Self {
        Self(self.0 | 1 << need as u8)
    }

    pub fn has(self, need: Need) -> bool {
        self.0 & (1 << need as u8) != 0
    }

    /// Whether one of them is a kind of file.
    pub fn has_files(self) -> bool {
        self.has(Need::Images) || self.has(Need::Audio) || self.has(Need::Documents)
    }

    /// Those of either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of all that are not in it.
    #[must_use]
    pub fn others(self) -> Self {
        Need::ALL.iter().copied().filter(|need| !self.has(*need)).collect()
    }

    /// The first that is in both.
    pub fn first_of(self, others: Self) -> Option<Need> {
        let both = Self(self.0 & others.0);
        // Most have nothing in common, and every target of every request is asked.
        if both == Self::default() { None } else { Need::ALL.iter().copied().find(|need| both.has(*need)) }
    }

    pub fn all_of(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

impl FromIterator<Need> for Needs {
    fn from_iter<I: IntoIterator<Item = Need>>(needs: I) -> Self {
        needs.into_iter().fold(Self::default(), Self::with)
    }
}
