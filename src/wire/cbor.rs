//! As much of CBOR as authenticators write: maps with text for names, texts, bytes and lists, all of stated length.
//!
//! Every length is held against what is there, so nothing received is reserved for.
//!
//! Source: RFC 8949, read 2026-11.

/// What has not been read yet. `None` of a verb says that it is not what was asked for; nothing is read on then.
#[derive(Debug, Clone)]
pub struct Cbor<'a>(&'a [u8]);

/// Deeper nesting is refused: what is skipped may be anything.
const DEPTH_MAX: u8 = 16;

const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

impl<'a> Cbor<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        self.sized(BYTES)
    }

    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.sized(TEXT)?).ok()
    }

    /// How many items follow.
    pub fn list(&mut self) -> Option<u64> {
        self.headed(LIST)
    }

    /// Gives each field to `field`, which reads its value; it is passed over where `field` reads nothing of it.
    pub fn fields(&mut self, mut field: impl FnMut(&'a str, &mut Self) -> Option<()>) -> Option<()> {
        for _ in 0..self.headed(MAP)? {
            let name = self.text()?;
            let before = self.0.len();
            field(name, self)?;
            if self.0.len() == before {
                self.skip(DEPTH_MAX)?;
            }
        }
        Some(())
    }

    fn sized(&mut self, kind: u8) -> Option<&'a [u8]> {
        let length = self.headed(kind)?;
        self.take(usize::try_from(length).ok()?)
    }

    fn headed(&mut self, kind: u8) -> Option<u64> {
        let (found, argument) = self.head()?;
        (found == kind).then_some(argument)
    }

    /// The kind of the next item and its length, count or value. A length that is not stated is none.
    fn head(&mut self) -> Option<(u8, u64)> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        let argument = match first & 0x1f {
            small @ 0..=23 => u64::from(small),
            long @ 24..=27 => {
                let bytes = self.take(1 << (long - 24))?;
                bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
            }
            _ => return None,
        };
        Some((first >> 5, argument))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn skip(&mut self, depth: u8) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let (kind, argument) = self.head()?;
        let items = match kind {
            BYTES | TEXT => return self.take(usize::try_from(argument).ok()?).map(drop),
            LIST => argument,
            MAP => argument.checked_mul(2)?,
            TAG => 1,
            // Numbers and simple values are all in their head.
            _ => 0,
        };
        // Each has a byte at least.
        if items > u64::try_from(self.0.len()).ok()? {
            return None;
        }
        (0..items).try_for_each(|_| self.skip(depth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields `a`, a text, and `b`, a list of bytes.
    fn read(input: &[u8]) -> Option<(String, Vec<Vec<u8>>)> {
        let mut at = Cbor::new(input);
        let (mut a, mut b) = (None, Vec::new());
        at.fields(|name, at| {
            match name {
                "a" => a = Some(at.text()?.to_owned()),
                "b" => {
                    for _ in 0..at.list()? {
                        b.push(at.bytes()?.to_vec());
                    }
                }
                _ => {}
            }
            Some(())
        })?;
        (at.is_at_end()).then_some((a?, b))
    }

    #[test]
    fn fields_are_found_and_others_passed_over() {
        let own = b"\xa2\x61a\x61x\x61b\x82\x41\x01\x58\x02\x02\x03";
        let expected = Some(("x".to_owned(), vec![vec![1], vec![2, 3]]));
        assert_eq!(read(own), expected);
        // A map in a list, a tag, a negative number, a float and null.
        let other = b"\xa3\x61c\x85\xa1\x61d\x20\xc1\x18\x64\x39\x01\x00\xfb\x00\x00\x00\x00\x00\x00\x00\x00\xf6";
        assert_eq!(read(&[other, &own[1..]].concat()), expected);
    }

    #[test]
    fn what_is_cut_or_lies_about_its_length_is_nothing() {
        let own = b"\xa3\x61a\x61x\x61b\x82\x41\x01\x58\x02\x02\x03\x61c\x82\x01\x02";
        assert!(read(own).is_some());
        for length in 0..own.len() {
            assert_eq!(read(&own[..length]), None, "{length}");
        }
        let deep = [b"\xa1\x61c".as_slice(), &[0x81; 100], b"\x00"].concat();
        for wrong in [
            b"\xa1\x61a\x7b\xff\xff\xff\xff\xff\xff\xff\xff".as_slice(),
            b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xa1\x61c\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xa1\x61c\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xa1\x61a\x62\xff\xff",
            b"\xbf\x61a\x61x\xff",
            b"\xa1\x61a\x1c",
            &deep,
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
