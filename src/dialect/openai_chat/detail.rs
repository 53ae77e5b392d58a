//! Entries of `reasoning_details`: reasoning in a shape that its server wants back as it gave it.
//!
//! Canonically an entry is its text and one string for all the rest: its proof, or what is sealed. Where the entry says
//! only what every dialect has, that is the signature itself or the sealed data; else it is a JSON object of these and of
//! the shape, and nobody but this dialect looks into it.
//!
//! Source: "Reasoning tokens", OpenRouter documentation, which Vercel, Snowflake and others follow; read 2026-11.

use std::borrow::Cow;

use crate::wire::json::{self, objects, to_string, written};

const TEXT: &str = "reasoning.text";
const SUMMARY: &str = "reasoning.summary";
const ENCRYPTED: &str = "reasoning.encrypted";

objects! {
    /// An entry without its text.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub(super) struct Shape<'a> {
        pub(super) kind as "type": Cow<'a, str> = Cow::Borrowed(""),
        pub(super) signature: Cow<'a, str> = Cow::Borrowed(""),
        pub(super) data: Cow<'a, str> = Cow::Borrowed(""),
        pub(super) format: Cow<'a, str> = Cow::Borrowed(""),
        pub(super) id: Cow<'a, str> = Cow::Borrowed(""),
        pub(super) index: Option<u64>,
    }
}

written! {
    impl Shape<'a> { kind as "type"?, signature?, data?, format?, id?, index? }

    /// An entry on the wire.
    #[derive(Debug)]
    pub(super) struct DetailOut<'a> {
        kind as "type": Cow<'a, str>,
        text?: Option<&'a str>,
        summary?: Option<&'a str>,
        signature?: Cow<'a, str>,
        data?: Cow<'a, str>,
        format?: Cow<'a, str>,
        id?: Cow<'a, str>,
        index: u64,
    }
}

impl<'a> Shape<'a> {
    /// The entry as the string that stands for it beside its text; `None` where there is nothing to prove or to unseal.
    pub(super) fn told(&self) -> Option<String> {
        // Some write "unknown" into what has no format, and so do some clients.
        if self.id.is_empty() && matches!(&*self.format, "" | "unknown") {
            let own = if self.data.is_empty() { &self.signature } else { &self.data };
            return Some(own.clone().into_owned()).filter(|own| !own.is_empty());
        }
        Some(to_string(self))
    }

    /// The entry that [`Self::told`] made a string of; `None` where it is only a signature, or sealed data.
    fn read(told: &'a str) -> Option<Self> {
        told.starts_with('{').then(|| json::parse::<Self>(told).ok()).flatten().filter(|shape| !shape.kind.is_empty())
    }

    /// Whether `other` may be a later piece of the same entry.
    pub(super) fn goes_on_in(&self, other: &Shape<'_>) -> bool {
        let may_be = |own: &str, other: &str| own.is_empty() || other.is_empty() || own == other;
        may_be(&self.kind, &other.kind)
            && may_be(&self.id, &other.id)
            && (self.index.is_none() || other.index.is_none() || self.index == other.index)
    }

    /// Takes in a later piece of the same entry.
    pub(super) fn add(&mut self, piece: Self) {
        let fill = |own: &mut Cow<'a, str>, more: Cow<'a, str>| {
            if own.is_empty() {
                *own = more;
            }
        };
        fill(&mut self.kind, piece.kind);
        fill(&mut self.format, piece.format);
        fill(&mut self.id, piece.id);
        self.index = self.index.or(piece.index);
        self.signature.to_mut().push_str(&piece.signature);
    }

    pub(super) fn bytes(&self) -> usize {
        let Self { kind, signature, data, format, id, index: _ } = self;
        [kind, signature, data, format, id].into_iter().map(|text| text.len()).sum()
    }
}

impl<'a> DetailOut<'a> {
    /// A text with its proof. `index` counts where the entry does not.
    pub(super) fn text(text: &'a str, proof: Option<&'a str>, index: u64) -> Self {
        let plain = || Shape { signature: proof.unwrap_or_default().into(), ..Shape::default() };
        let shape = proof.and_then(Shape::read).unwrap_or_else(plain);
        let is_summary = shape.kind == SUMMARY;
        // An entry that is signed and has no text says so by having none.
        let said = (!text.is_empty() || proof.is_none()).then_some(text);
        let (text, summary) = if is_summary { (None, said) } else { (said, None) };
        Self { text, summary, ..Self::of(shape, TEXT, index) }
    }

    pub(super) fn sealed(sealed: &'a str, index: u64) -> Self {
        let plain = || Shape { data: Cow::Borrowed(sealed), ..Shape::default() };
        Self::of(Shape::read(sealed).unwrap_or_else(plain), ENCRYPTED, index)
    }

    fn of(shape: Shape<'a>, kind: &'static str, index: u64) -> Self {
        let Shape { kind: own, signature, data, format, id, index: place } = shape;
        let kind = if own.is_empty() { Cow::Borrowed(kind) } else { own };
        Self { kind, text: None, summary: None, signature, data, format, id, index: place.unwrap_or(index) }
    }
}
