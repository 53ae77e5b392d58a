//! Certificates on curves of NIST: what is read of one, and how two hang together. Nothing is asked of the network, so
//! none is known to be revoked.
//!
//! Source: RFC 5280, read 2026-11.

use crate::auth::proof::{Algorithm, Curve, Signed};
use crate::host::Millis;
use crate::limit::calendar::instant;
use crate::wire::der::{
    BIT_STRING, BOOLEAN, Der, GENERALIZED_TIME, INTEGER, OCTET_STRING, OID, SEQUENCE, UTC_TIME, only,
};

#[derive(Debug, Clone)]
pub struct Certificate {
    /// What is signed.
    body: Vec<u8>,
    hash: Hash,
    /// In DER.
    signature: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    begins: Millis,
    ends: Millis,
    curve: Curve,
    /// A point of the curve, uncompressed.
    pub key: Vec<u8>,
    /// Each with its name.
    extensions: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether one of them must be understood and is not.
    is_strange: bool,
}

#[derive(Debug, Clone, Copy)]
enum Hash {
    Sha256,
    Sha384,
}

/// Why a certificate does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not signed by whom it should be.
    Issuer,
    /// `now` is before or after its time.
    Expired,
    /// Its issuer may sign none, or something in it must be understood and is not.
    Unfit,
}

const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
const EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const CURVE_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const CURVE_P384: &[u8] = &[0x2b, 0x81, 4, 0, 0x22];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
/// Of the first byte of a key's usage: whether it may sign certificates.
const MAY_SIGN: u8 = 0x04;

impl Certificate {
    /// From DER; `None` where it is no certificate, or on another curve.
    pub fn read(der: &[u8]) -> Option<Self> {
        let mut outer = only(der, SEQUENCE)?;
        let signed = outer.value().filter(|value| value.tag == SEQUENCE)?;
        let hash = match outer.within(SEQUENCE)?.of(OID)? {
            name if name == ECDSA_SHA256 => Hash::Sha256,
            name if name == ECDSA_SHA384 => Hash::Sha384,
            _ => return None,
        };
        let signature = bits(outer.of(BIT_STRING)?)?.to_vec();

        let mut body = Der::new(signed.content);
        let version = body.if_of(0xa0);
        body.of(INTEGER)?;
        body.of(SEQUENCE)?;
        let issuer = body.value()?.whole.to_vec();
        let mut validity = body.within(SEQUENCE)?;
        let (begins, ends) = (time(&mut validity)?, time(&mut validity)?);
        let subject = body.value()?.whole.to_vec();
        let mut key = body.within(SEQUENCE)?;
        let mut algorithm = key.within(SEQUENCE)?;
        if algorithm.of(OID)? != EC_KEY {
            return None;
        }
        let curve = match algorithm.of(OID)? {
            name if name == CURVE_P256 => Curve::P256,
            name if name == CURVE_P384 => Curve::P384,
            _ => return None,
        };
        let key = bits(key.of(BIT_STRING)?)?.to_vec();
        if key.first() != Some(&4) || key.len() != 1 + 2 * curve.bytes() {
            return None;
        }
        // Numbers of its issuer and subject, which nobody writes any more.
        body.if_of(0x81);
        body.if_of(0x82);
        let (mut extensions, mut is_strange) = (Vec::new(), false);
        if let Some(own) = body.if_of(0xa3) {
            let mut own = only(own, SEQUENCE)?;
            while !own.is_at_end() {
                let mut extension = own.within(SEQUENCE)?;
                let name = extension.of(OID)?;
                let is_critical = extension.if_of(BOOLEAN).is_some_and(|flag| flag != [0]);
                is_strange |= is_critical && name != BASIC_CONSTRAINTS && name != KEY_USAGE;
                extensions.push((name.to_vec(), extension.of(OCTET_STRING)?.to_vec()));
            }
        }
        // The version of those that have extensions.
        if !body.is_at_end() || version != Some(&[INTEGER, 1, 2]) {
            return None;
        }
        let body = signed.whole.to_vec();
        Some(Self { body, hash, signature, issuer, subject, begins, ends, curve, key, extensions, is_strange })
    }

    /// The value of an extension.
    pub fn extension(&self, name: &[u8]) -> Option<&[u8]> {
        self.extensions.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_slice())
    }

    /// What is left to be found out of whether it was made by `issuer` and both are good now: the signature.
    pub fn by(&self, issuer: &Self, now: Millis) -> Result<Signed, Fault> {
        if self.issuer != issuer.subject {
            return Err(Fault::Issuer);
        }
        if [self, issuer].iter().any(|one| now < one.begins || one.ends < now) {
            return Err(Fault::Expired);
        }
        if self.is_strange || issuer.is_strange || !issuer.may_sign() {
            return Err(Fault::Unfit);
        }
        let algorithm = match (issuer.curve, self.hash) {
            (Curve::P256, Hash::Sha256) => Algorithm::P256Sha256,
            (Curve::P384, Hash::Sha256) => Algorithm::P384Sha256,
            (Curve::P384, Hash::Sha384) => Algorithm::P384Sha384,
            (Curve::P256, Hash::Sha384) => return Err(Fault::Unfit),
        };
        let signature = issuer.curve.numbers(&self.signature).ok_or(Fault::Issuer)?;
        Ok(Signed { algorithm, key: issuer.key.clone(), message: self.body.clone(), signature })
    }

    pub fn is_p256(&self) -> bool {
        self.curve == Curve::P256
    }

    /// Whether it says that it is an authority, and if it says what its key is for, that it is for certificates.
    fn may_sign(&self) -> bool {
        let constraints = self.extension(BASIC_CONSTRAINTS).and_then(|value| only(value, SEQUENCE));
        let is_authority = constraints.is_some_and(|mut own| own.if_of(BOOLEAN) == Some(&[0xff]));
        let usage = self.extension(KEY_USAGE).map(|value| Der::new(value).of(BIT_STRING).and_then(|bits| bits.get(1)));
        is_authority && usage.is_none_or(|usage| usage.is_some_and(|usage| usage & MAY_SIGN != 0))
    }
}

/// A bit string of whole bytes.
fn bits(content: &[u8]) -> Option<&[u8]> {
    content.strip_prefix(&[0])
}

/// `YYMMDDHHMMSSZ`, of the years from 1950 to 2049, or `YYYYMMDDHHMMSSZ`.
fn time(at: &mut Der<'_>) -> Option<Millis> {
    let value = at.value()?;
    let text = std::str::from_utf8(value.content).ok()?;
    let full = match value.tag {
        UTC_TIME => format!("{}{text}", if text.as_bytes().first()? < &b'5' { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let digits = full.strip_suffix('Z').filter(|digits| digits.len() == 14)?;
    let part = |from: usize, to: usize| digits.get(from..to);
    let (date, clock) = ([part(0, 4)?, part(4, 6)?, part(6, 8)?], [part(8, 10)?, part(10, 12)?, part(12, 14)?]);
    instant(&format!("{}T{}Z", date.join("-"), clock.join(":")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_this_century_and_the_last() {
        let read = |tag: u8, text: &str| {
            let der = [&[tag, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
            time(&mut Der::new(&der))
        };
        assert_eq!(read(UTC_TIME, "261121120000Z"), Some(1_795_262_400_000));
        assert_eq!(read(GENERALIZED_TIME, "20261121120000Z"), Some(1_795_262_400_000));
        assert_eq!(read(UTC_TIME, "700101000000Z"), Some(0));
        for (tag, text) in [
            (UTC_TIME, "261121120000"),
            (UTC_TIME, "261321120000Z"),
            (UTC_TIME, "2611211200Z"),
            (UTC_TIME, ""),
            (GENERALIZED_TIME, "261121120000Z"),
            (GENERALIZED_TIME, "2026112112é00Z"),
            (INTEGER, "261121120000Z"),
        ] {
            assert_eq!(read(tag, text), None, "{text}");
        }
    }
}
