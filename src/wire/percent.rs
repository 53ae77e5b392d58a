//! Percent-encoding, as RFC 3986 has it: all but its unreserved characters.

use std::fmt::Write as _;

/// `text` as one segment of a path, or one name or value of a query.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Text can always be written to a String.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_unreserved_is_encoded() {
        assert_eq!(encode("aZ9-._~"), "aZ9-._~");
        assert_eq!(encode("a:b/c d%é"), "a%3Ab%2Fc%20d%25%C3%A9");
    }
}
