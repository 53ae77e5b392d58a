//! Signatures that a host makes and checks. What is signed, and by whose key, is decided here; the arithmetic is the
//! platform's where it has it, which takes a tenth of the time that it takes in wasm, and no room in the Worker.

use crate::wire::der::{INTEGER, SEQUENCE, only};

/// Something that holds if all of its signatures are good, which a host finds out.
#[derive(Debug)]
pub struct Claim<T> {
    pub of: T,
    pub signed: Vec<Signed>,
}

/// A message and its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub algorithm: Algorithm,
    /// A point of the curve, uncompressed.
    pub key: Vec<u8>,
    pub message: Vec<u8>,
    /// ECDSA's two numbers in DER.
    pub signature: Vec<u8>,
}

/// A curve and what a message is hashed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    P256Sha256,
    P384Sha256,
    P384Sha384,
}

/// The curves of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    P256,
    P384,
}

impl Curve {
    /// Of one of its numbers.
    pub fn bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

impl Algorithm {
    pub fn curve(self) -> Curve {
        match self {
            Self::P256Sha256 => Curve::P256,
            Self::P384Sha256 | Self::P384Sha384 => Curve::P384,
        }
    }
}

impl Signed {
    /// The signature's two numbers, one behind the other, each as long as the curve's; `None` where it has not that form.
    pub fn numbers(&self) -> Option<Vec<u8>> {
        let bytes = self.algorithm.curve().bytes();
        let mut at = only(&self.signature, SEQUENCE)?;
        let mut numbers = Vec::with_capacity(2 * bytes);
        for _ in 0..2 {
            let number = at.of(INTEGER)?;
            // Of a number whose first bit is set, which would be negative without it.
            let number = match number {
                [0, rest @ ..] if rest.first().is_some_and(|first| *first >= 0x80) => rest,
                [first, ..] if *first < 0x80 => number,
                _ => return None,
            };
            numbers.extend(std::iter::repeat_n(0, bytes.checked_sub(number.len())?));
            numbers.extend_from_slice(number);
        }
        at.is_at_end().then_some(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_their_curve() {
        let numbers = |signature: &[u8]| {
            let (algorithm, key, message) = (Algorithm::P256Sha256, Vec::new(), Vec::new());
            Signed { algorithm, key, message, signature: signature.to_vec() }.numbers()
        };
        let expected = [&[0; 31][..], &[5], &[0; 31], &[0x85]].concat();
        assert_eq!(numbers(b"\x30\x07\x02\x01\x05\x02\x02\x00\x85"), Some(expected));
        let long = [b"\x30\x25\x02\x20".as_slice(), &[1; 32], b"\x02\x01\x01"].concat();
        assert_eq!(numbers(&long).map(|numbers| numbers.len()), Some(64));
        let longer = [b"\x30\x26\x02\x21".as_slice(), &[1; 33], b"\x02\x01\x01"].concat();
        for wrong in [
            longer.as_slice(),
            b"\x30\x06\x02\x01\x05\x02\x01\x85",
            b"\x30\x03\x02\x01\x05",
            b"\x30\x05\x02\x01\x05\x02\x00",
            b"\x30\x09\x02\x01\x05\x02\x01\x05\x02\x01\x05",
            b"",
        ] {
            assert_eq!(numbers(wrong), None, "{wrong:?}");
        }
    }
}
