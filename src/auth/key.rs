//! Keys by which tokens are believed: as their issuers write or publish them, and what is to be found out by one. Pure.
//!
//! A key belongs to one algorithm, and what a token says of its own can only pick among keys. So no public key is ever taken
//! for a shared secret, and "none" is no algorithm.
//!
//! Sources: RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518 (algorithms), RFC 8037 (Ed25519), RFC 8410 and 5480 (public keys in DER).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::proof::{self, RSA_EXPONENT, Signed};
use crate::wire::json::{Raw, objects, parse, words};

words! {
    /// As a token's header calls them.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Algorithm = "an algorithm of signatures" {
        Hs256 as "HS256",
        Rs256 as "RS256",
        Es256 as "ES256",
        EdDsa as "EdDSA",
    }
}

/// A key that signatures of one algorithm are checked with.
#[derive(Clone)]
pub struct Key {
    /// As tokens call it in `kid`.
    pub id: Option<String>,
    algorithm: Algorithm,
    /// A secret, or a public key as [`Signed`] has it.
    bytes: Vec<u8>,
}

objects! {
    /// A key as JSON has it (JWK); other fields are passed over.
    struct Jwk {
        kty: String,
        kid: Option<String>,
        purpose as "use": Option<String>,
        alg: Option<String>,
        crv: Option<String>,
        x: Option<String>,
        y: Option<String>,
        n: Option<String>,
        e: Option<String>,
    }

    struct Set<'a> {
        keys: Vec<Raw<'a>>,
    }
}

/// RFC 7518 wants as much of a secret as the hash is long.
pub const SECRET_BYTES_MIN: usize = 32;
/// No issuer has nearly as many.
const KEYS_MAX: usize = 64;
/// 2048 to 4096 bits: less is broken some day soon, more takes long to check.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=512;
/// What stands before a key's bytes in DER.
const ED25519_INFO: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const P256_INFO: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// Keys of Ed25519 under which a signature proves nothing: points of an order below 9, as their bytes may be but for the last
/// bit. Some hosts would take one.
const ED25519_WEAK: [[u8; 32]; 7] = [
    [0; 32],
    ends(1, 0, 0),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    ends(0xec, 0xff, 0x7f),
    ends(0xed, 0xff, 0x7f),
    ends(0xee, 0xff, 0x7f),
];

const fn ends(first: u8, between: u8, last: u8) -> [u8; 32] {
    let mut bytes = [between; 32];
    (bytes[0], bytes[31]) = (first, last);
    bytes
}

/// The keys of a set (JWKS) that a signature can be checked with; others, and those for encryption, are passed over.
pub fn key_set(text: &str) -> Result<Vec<Key>, String> {
    let set: Set<'_> = parse(text).map_err(|error| format!("it is no set of keys: {error}"))?;
    let keys = set.keys.into_iter().filter_map(|key| Key::of_jwk(key.get()));
    Ok(keys.take(KEYS_MAX).collect())
}

impl Key {
    /// A secret that both sides have.
    pub fn secret(id: Option<String>, secret: &[u8]) -> Self {
        Self { id, algorithm: Algorithm::Hs256, bytes: secret.to_owned() }
    }

    /// A public key as people write it: PEM, a JWK, or the bytes of an Ed25519 key in base64.
    ///
    /// `id` goes before the one that a JWK has.
    pub fn written(id: Option<String>, text: &str) -> Option<Self> {
        let text = text.trim();
        if text.starts_with('{') {
            let key = Self::of_jwk(text)?;
            return Some(Self { id: id.or(key.id), ..key });
        }
        let (algorithm, bytes) = match text.strip_prefix("-----BEGIN PUBLIC KEY-----") {
            Some(rest) => {
                let body = rest.strip_suffix("-----END PUBLIC KEY-----")?;
                let body: String = body.split_whitespace().collect();
                let der = STANDARD.decode(body).ok()?;
                let p256 = || der.strip_prefix(P256_INFO).and_then(p256);
                der.strip_prefix(ED25519_INFO).and_then(ed25519).or_else(p256)?
            }
            None => ed25519(&STANDARD.decode(text).ok().or_else(|| decoded(text))?)?,
        };
        Some(Self { id, algorithm, bytes })
    }

    fn of_jwk(text: &str) -> Option<Self> {
        let Jwk { kty, kid, purpose, alg, crv, x, y, n, e } = parse(text).ok()?;
        if purpose.is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let bytes = |text: &Option<String>| decoded(text.as_deref()?);
        let (algorithm, bytes) = match (kty.as_str(), crv.as_deref()) {
            ("OKP", Some("Ed25519")) => ed25519(&bytes(&x)?)?,
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(&x)?, bytes(&y)?);
                // Each of its full length, so that no byte of one is taken for one of the other.
                p256(&[&[4], x.as_slice(), y.as_slice()].concat()).filter(|_| x.len() == y.len())?
            }
            ("RSA", None) => rsa(&bytes(&n)?, &bytes(&e)?)?,
            _ => return None,
        };
        alg.is_none_or(|alg| alg == algorithm.word()).then_some(Self { id: kid, algorithm, bytes })
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is what this secret makes of `message`; a public key has none.
    pub(super) fn is_mac(&self, message: &[u8], signature: &[u8]) -> bool {
        let is_secret = self.algorithm == Algorithm::Hs256;
        is_secret && mac(&self.bytes, message).is_some_and(|mac| mac.verify_slice(signature).is_ok())
    }

    /// The public key, by which it is told from others; none of a secret.
    pub(super) fn public(&self) -> Option<&[u8]> {
        (self.algorithm != Algorithm::Hs256).then_some(self.bytes.as_slice())
    }

    /// What a host finds out of a signature by this key; nothing of one by a secret.
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> Option<Signed> {
        let algorithm = match self.algorithm {
            Algorithm::Hs256 => return None,
            Algorithm::Rs256 => proof::Algorithm::Rs256,
            Algorithm::Es256 => proof::Algorithm::P256Sha256,
            Algorithm::EdDsa => proof::Algorithm::Ed25519,
        };
        let (key, message, signature) = (self.bytes.clone(), message.to_owned(), signature.to_owned());
        Some(Signed { algorithm, key, message, signature })
    }
}

fn ed25519(bytes: &[u8]) -> Option<(Algorithm, Vec<u8>)> {
    let key: [u8; 32] = bytes.try_into().ok()?;
    let [rest @ .., last] = key;
    // The last bit says which of two points it is.
    let is_weak = ED25519_WEAK.iter().any(|[weak @ .., end]| *weak == rest && *end == last & 0x7f);
    (!is_weak).then(|| (Algorithm::EdDsa, key.to_vec()))
}

/// A point, uncompressed. One that is not on the curve has no signatures, which hosts find out.
fn p256(point: &[u8]) -> Option<(Algorithm, Vec<u8>)> {
    (point.len() == 65 && point.first() == Some(&4)).then(|| (Algorithm::Es256, point.to_vec()))
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<(Algorithm, Vec<u8>)> {
    let start = modulus.iter().position(|byte| *byte != 0)?;
    let modulus = modulus.get(start..)?;
    let fits = MODULUS_BYTES.contains(&modulus.len()) && modulus.last().is_some_and(|last| last % 2 == 1);
    (fits && exponent == RSA_EXPONENT).then(|| (Algorithm::Rs256, modulus.to_vec()))
}

/// Neither the secret nor what would fill a page.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?} {:?})", self.id, self.algorithm)
    }
}

/// What `secret` makes of `message` by HMAC-SHA256.
pub fn hs256(secret: &[u8], message: &[u8]) -> [u8; 32] {
    mac(secret, message).map(|mac| mac.finalize().into_bytes().into()).unwrap_or_default()
}

/// HMAC takes keys of every length.
fn mac(secret: &[u8], message: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(message);
    Some(mac)
}

/// Base64 as tokens have it.
pub fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of RFC 7515, appendices A.2 and A.3, and RFC 8037, appendix A.
    const RSA: &str = concat!(
        r#"{"kty":"RSA","e":"AQAB","n":""#,
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs",
        "D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV",
        "MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        r#""}"#
    );
    const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    const OKP: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    /// RFC 7515, appendix A.1.
    #[test]
    fn a_published_secret_is_known_by_what_it_signs_and_signs_nothing_near_it() {
        let key = Key::secret(
            None,
            &decoded("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow").unwrap(),
        );
        let message = concat!(
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.",
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        )
        .as_bytes();
        let signature = decoded("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        assert!(key.is_mac(message, &signature) && key.signed(message, &signature).is_none());
        for at in 0..signature.len() {
            let mut other = signature.clone();
            other[at] ^= 1;
            assert!(!key.is_mac(message, &other) && !key.is_mac(message, &signature[..at]), "{at}");
        }
        assert!(!key.is_mac(&message[1..], &signature) && !key.is_mac(message, &[&*signature, &[0]].concat()));
        // What is public is no secret.
        let public = Key::written(None, OKP).unwrap();
        let mac = hs256(public.public().unwrap(), message);
        assert!(!public.is_mac(message, &mac) && key.public().is_none());
    }

    #[test]
    fn public_keys_are_read_as_people_write_them() {
        // The key of RFC 8410, section 10.1; the others are made of the examples above.
        let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        let bytes = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE";
        for text in [pem.to_owned(), pem.replace('\n', " "), bytes.to_owned(), format!("{bytes}=")] {
            let key = Key::written(None, &text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((key.algorithm(), key.public()), (Algorithm::EdDsa, decoded(bytes).as_deref()));
        }
        let der = [P256_INFO, Key::written(None, EC).unwrap().public().unwrap()].concat();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", STANDARD.encode(der));
        assert_eq!(Key::written(None, &pem).unwrap().public(), Key::written(None, EC).unwrap().public());
        let wrong = [
            "",
            "{",
            "{}",
            "AAAA",
            "-----BEGIN PUBLIC KEY-----",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            r#"{"kty":"oct","k":"AAAA"}"#,
            r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#,
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
        ];
        for text in wrong {
            assert!(Key::written(None, text).is_none(), "{text}");
        }
        // An exponent and a modulus that nobody should have.
        assert!(Key::written(None, &RSA.replace("AQAB", "Aw")).is_none());
        assert!(Key::written(None, &RSA.replace("XpoQ", "Xpog")).is_none(), "it is even");
        assert!(Key::written(None, &RSA.replace("ofgWCuLjybRlzo0t", "")).is_none(), "it is short");
    }

    #[test]
    fn a_key_under_which_signatures_prove_nothing_is_none() {
        for weak in ED25519_WEAK {
            for bit in [0, 0x80] {
                let mut bytes = weak;
                bytes[31] |= bit;
                assert!(Key::written(None, &STANDARD.encode(bytes)).is_none(), "{bytes:?}");
                // It is one indeed, where its bytes are a point at all.
                let point = ed25519_dalek::VerifyingKey::from_bytes(&bytes);
                assert!(point.is_err() || point.is_ok_and(|point| point.is_weak()), "{bytes:?}");
            }
        }
    }

    #[test]
    fn a_set_gives_the_keys_that_can_be_used_and_passes_over_the_others() {
        let with = |key: &str, more: &str| key.replacen('{', &format!("{{{more},"), 1);
        let rows = [
            with(RSA, r#""kid":"a","use":"sig","alg":"RS256""#),
            with(RSA, r#""kid":"b","alg":"PS256""#),
            with(EC, r#""kid":"c","use":"enc""#),
            with(EC, r#""kid":"d","x5c":["AA"],"key_ops":["verify"]"#),
            with(EC, r#""kid":5"#),
            "7".to_owned(),
            OKP.to_owned(),
        ];
        let ids = |text: &str| key_set(text).map(|keys| keys.into_iter().map(|key| key.id).collect::<Vec<_>>());
        let found = ids(&format!(r#"{{"keys":[{}],"more":{{}}}}"#, rows.join(","))).unwrap();
        assert_eq!(found, [Some("a".to_owned()), Some("d".to_owned()), None]);
        let many = vec![OKP; 200].join(",");
        assert_eq!(ids(&format!(r#"{{"keys":[{many}]}}"#)).unwrap().len(), KEYS_MAX);
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[}"#] {
            assert!(ids(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_does_not_show_its_secret() {
        let shown = format!("{:?}", Key::secret(Some("k".to_owned()), b"do not tell"));
        assert_eq!(shown, "Key(Some(\"k\") Hs256)");
    }
}
