//! Signatures that a host makes and checks: of tokens, and of what phones show. What is signed, and by whose key, is decided
//! here and around it; the arithmetic is the platform's where it has it, which takes a tenth of the time that it takes in
//! wasm, and no room in the Worker.

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
    /// Of ECDSA a point of the curve, uncompressed; of RSA the modulus, without zeros before it; of Ed25519 its 32 bytes.
    pub key: Vec<u8>,
    pub message: Vec<u8>,
    /// Of ECDSA its two numbers, one behind the other, each as long as the curve's; of the others the bytes that they are.
    pub signature: Vec<u8>,
}

/// How a message is signed, and what it is hashed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA.
    P256Sha256,
    P384Sha256,
    P384Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-256, by a key of 2048 to 4096 bits with [`RSA_EXPONENT`].
    Rs256,
    Ed25519,
}

/// 65537, which all keys of RSA have here.
pub const RSA_EXPONENT: [u8; 3] = [1, 0, 1];

/// The curves of ECDSA.
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

    /// A signature as [`Signed`] has it, of its two numbers in DER; `None` where it has not that form.
    pub fn numbers(self, signature: &[u8]) -> Option<Vec<u8>> {
        let mut at = only(signature, SEQUENCE)?;
        let mut numbers = Vec::with_capacity(2 * self.bytes());
        for _ in 0..2 {
            let number = at.of(INTEGER)?;
            // Of a number whose first bit is set, which would be negative without it.
            let number = match number {
                [0, rest @ ..] if rest.first().is_some_and(|first| *first >= 0x80) => rest,
                [first, ..] if *first < 0x80 => number,
                _ => return None,
            };
            numbers.extend(std::iter::repeat_n(0, self.bytes().checked_sub(number.len())?));
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
        let numbers = |signature: &[u8]| Curve::P256.numbers(signature);
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
