//! The canonical request for embeddings, and its answer: what every dialect that has them is read into and written from.
//!
//! A vector stays the JSON text it arrived as, because nothing here prints a float; as base64 it can be packed all the
//! same.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::chat::{Json, Usage};
use crate::wire::json;

/// One request, as far as dialects agree on what it is.
#[derive(Debug)]
pub struct Request {
    pub model: String,
    pub input: Input,
    /// How long each vector is to be.
    pub dimensions: Option<u64>,
    pub encoding: Encoding,
    /// What the texts are for, in Cohere's words or Voyage's: callers of OpenAI's shape may add it.
    pub input_type: Option<String>,
    /// An opaque name of the end user, for the provider's abuse detection.
    pub user: Option<String>,
    /// What the caller sent and this form cannot hold, by its wire names.
    pub unread: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub enum Input {
    Texts(Vec<String>),
    /// Numbers that only the tokenizer of OpenAI's models gives a meaning, verbatim.
    Tokens(Json),
}

/// How the caller wants a vector told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    #[default]
    Float,
    /// Little-endian 32-bit floats.
    Base64,
}

/// A vector to each text, in their order.
#[derive(Debug, PartialEq)]
pub struct Response {
    /// Empty where the upstream does not say it.
    pub model: String,
    /// Each an array of numbers, or a string where it is packed already.
    pub vectors: Vec<Json>,
    /// `output` is always zero.
    pub usage: Option<Usage>,
}

impl Encoding {
    /// `vector` as its text in this encoding; as it came where it is packed already, or no array of numbers.
    pub fn told(self, vector: &Json) -> String {
        let packed = (self == Self::Base64).then(|| packed(vector)).flatten();
        packed.map_or_else(|| vector.get().to_owned(), |packed| json::quoted(&packed))
    }
}

/// An array of numbers as little-endian 32-bit floats, in base64.
fn packed(vector: &Json) -> Option<String> {
    let numbers: Vec<f32> = json::parse(vector.get()).ok()?;
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    Some(STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_vector_is_told_as_it_is_wanted() {
        let cases = [
            ("[1.50,-2]", Encoding::Float, "[1.50,-2]"),
            ("[1.50,-2]", Encoding::Base64, "\"AADAPwAAAMA=\""),
            ("\"AADAPwAAAMA=\"", Encoding::Base64, "\"AADAPwAAAMA=\""),
            ("\"AADAPwAAAMA=\"", Encoding::Float, "\"AADAPwAAAMA=\""),
            ("[]", Encoding::Base64, "\"\""),
            ("[\"x\"]", Encoding::Base64, "[\"x\"]"),
        ];
        for (vector, encoding, told) in cases {
            let vector = json::parse(vector).unwrap();
            assert_eq!(encoding.told(&vector), told);
        }
    }
}
