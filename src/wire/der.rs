//! As much of DER as certificates, keys and signatures need: a value behind a value, each with its tag and length.
//!
//! Source: ITU-T X.690 (02/2021).

/// What has not been read yet. `None` of a verb says that it is not what was asked for; nothing is read on then.
#[derive(Debug, Clone, Copy)]
pub struct Der<'a>(&'a [u8]);

/// A value.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    pub tag: u8,
    /// With its tag and length.
    pub whole: &'a [u8],
    pub content: &'a [u8],
}

pub const BOOLEAN: u8 = 0x01;
pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const OID: u8 = 0x06;
pub const UTC_TIME: u8 = 0x17;
pub const GENERALIZED_TIME: u8 = 0x18;
pub const SEQUENCE: u8 = 0x30;

impl<'a> Der<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub fn is_at_end(self) -> bool {
        self.0.is_empty()
    }

    /// The next value. Tags of more than one byte, and lengths that are not as short as they can be, are none.
    pub fn value(&mut self) -> Option<Value<'a>> {
        let (&[tag, length], rest) = self.0.split_first_chunk::<2>()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (length, rest) = match length {
            0..=0x7f => (usize::from(length), rest),
            0x81 => match rest.split_first()? {
                (&length @ 0x80.., rest) => (usize::from(length), rest),
                _ => return None,
            },
            0x82 => {
                let (length, rest) = rest.split_first_chunk()?;
                (Some(u16::from_be_bytes(*length)).filter(|length| *length > 0xff)?.into(), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        let whole = self.0.get(..self.0.len().checked_sub(rest.len())?)?;
        self.0 = rest;
        Some(Value { tag, whole, content })
    }

    /// The content of the next value, which is of this tag.
    pub fn of(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.value().filter(|value| value.tag == tag).map(|value| value.content)
    }

    /// The same if the next value is of this tag, else nothing is read.
    pub fn if_of(&mut self, tag: u8) -> Option<&'a [u8]> {
        (self.0.first() == Some(&tag)).then(|| self.of(tag))?
    }

    /// What stands in the next value, which is of this tag.
    pub fn within(&mut self, tag: u8) -> Option<Der<'a>> {
        self.of(tag).map(Der)
    }
}

/// All of `input` as one value of this tag.
pub fn only(input: &[u8], tag: u8) -> Option<Der<'_>> {
    let mut at = Der::new(input);
    at.within(tag).filter(|_| at.is_at_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_far_as_they_are_there() {
        let long = [b"\x04\x81\x80".as_slice(), &[7; 128]].concat();
        let longer = [b"\x30\x82\x01\x03\x02\x01\x05\x04\x81\xfd".as_slice(), &[7; 253]].concat();
        assert_eq!(Der::new(&long).of(OCTET_STRING), Some([7; 128].as_slice()));
        let mut at = only(&longer, SEQUENCE).unwrap();
        assert_eq!((at.if_of(OCTET_STRING), at.if_of(INTEGER)), (None, Some([5].as_slice())));
        assert_eq!(at.value().unwrap().content.len(), 253);
        for length in 0..longer.len() {
            assert!(only(&longer[..length], SEQUENCE).is_none(), "{length}");
        }
        for wrong in [
            b"\x30\x01".as_slice(),
            b"\x30\x80\x00\x00",
            b"\x30\x81\x00",
            b"\x04\x82\x00\x00",
            b"\x30\x83\x00\x00\x00",
            b"\xbf\x8a\x00",
        ] {
            assert!(Der::new(wrong).value().is_none(), "{wrong:?}");
        }
        assert!(only(b"\x30\x00\x00", SEQUENCE).is_none(), "there is more behind it");
    }
}
