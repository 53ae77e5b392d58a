//! Signatures that others make and the gateway checks: one implementation for all hosts. Pure.
//!
//! A key belongs to one algorithm, and what a token says of its own can only pick among keys. So no public key is ever taken
//! for a shared secret, and "none" is no algorithm.
//!
//! Sources: RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518 (algorithms), RFC 8017 (RSA), RFC 8037 (Ed25519), RFC 8410 and 5480
//! (public keys in DER).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use crypto_bigint::modular::runtime_mod::{DynResidue, DynResidueParams};
use crypto_bigint::{U2048, U4096, Uint};
use hmac::{Hmac, Mac as _};
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use sha2::{Digest as _, Sha256};

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

/// A key that checks signatures of one algorithm.
#[derive(Clone)]
pub struct Key {
    /// As tokens call it in `kid`.
    pub id: Option<String>,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Secret(Vec<u8>),
    Rsa(Vec<u8>),
    P256(p256::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
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
/// 65537, which all issuers have.
const EXPONENT: &[u8] = &[1, 0, 1];
/// What stands before the hash in what RSA signs: "SHA-256, so long" in DER.
const SHA256_INFO: &[u8] =
    &[0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];
/// What stands before a key's bytes in DER.
const ED25519_INFO: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const P256_INFO: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The keys of a set (JWKS) that a signature can be checked with; others, and those for encryption, are passed over.
pub fn key_set(text: &str) -> Result<Vec<Key>, String> {
    let set: Set<'_> = parse(text).map_err(|error| format!("it is no set of keys: {error}"))?;
    let keys = set.keys.into_iter().filter_map(|key| Key::of_jwk(key.get()));
    Ok(keys.take(KEYS_MAX).collect())
}

impl Key {
    /// A secret that both sides have.
    pub fn secret(id: Option<String>, secret: &[u8]) -> Self {
        Self { id, kind: Kind::Secret(secret.to_owned()) }
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
        let kind = match text.strip_prefix("-----BEGIN PUBLIC KEY-----") {
            Some(rest) => {
                let body = rest.strip_suffix("-----END PUBLIC KEY-----")?;
                let body: String = body.split_whitespace().collect();
                let der = STANDARD.decode(body).ok()?;
                let p256 = || der.strip_prefix(P256_INFO).and_then(Kind::p256);
                der.strip_prefix(ED25519_INFO).and_then(Kind::ed25519).or_else(p256)?
            }
            None => Kind::ed25519(&STANDARD.decode(text).ok().or_else(|| decoded(text))?)?,
        };
        Some(Self { id, kind })
    }

    fn of_jwk(text: &str) -> Option<Self> {
        let Jwk { kty, kid, purpose, alg, crv, x, y, n, e } = parse(text).ok()?;
        if purpose.is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let bytes = |text: &Option<String>| decoded(text.as_deref()?);
        let kind = match (kty.as_str(), crv.as_deref()) {
            ("OKP", Some("Ed25519")) => Kind::ed25519(&bytes(&x)?)?,
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(&x)?, bytes(&y)?);
                // Each of its full length, so that no byte of one is taken for one of the other.
                Kind::p256(&[&[4], x.as_slice(), y.as_slice()].concat()).filter(|_| x.len() == y.len())?
            }
            ("RSA", None) => Kind::rsa(&bytes(&n)?, &bytes(&e)?)?,
            _ => return None,
        };
        let key = Self { id: kid, kind };
        alg.is_none_or(|alg| alg == key.algorithm().word()).then_some(key)
    }

    pub fn algorithm(&self) -> Algorithm {
        match &self.kind {
            Kind::Secret(_) => Algorithm::Hs256,
            Kind::Rsa(_) => Algorithm::Rs256,
            Kind::P256(_) => Algorithm::Es256,
            Kind::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Whether `signature` is this key's on `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.kind {
            Kind::Secret(secret) => mac(secret, message).is_some_and(|mac| mac.verify_slice(signature).is_ok()),
            Kind::Rsa(modulus) => rs256(modulus, message, signature),
            Kind::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_prehash(&Sha256::digest(message), &signature).is_ok()),
            Kind::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
        }
    }

    /// Its public bytes, by which it is told from others; nothing of a secret.
    pub fn public(&self) -> Vec<u8> {
        match &self.kind {
            Kind::Secret(_) => Vec::new(),
            Kind::Rsa(modulus) => modulus.clone(),
            Kind::P256(key) => key.to_encoded_point(true).as_bytes().to_vec(),
            Kind::Ed25519(key) => key.to_bytes().to_vec(),
        }
    }
}

impl Kind {
    fn ed25519(bytes: &[u8]) -> Option<Self> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes.try_into().ok()?).ok()?;
        Some(Self::Ed25519(key))
    }

    fn p256(point: &[u8]) -> Option<Self> {
        p256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok().map(Self::P256)
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let start = modulus.iter().position(|byte| *byte != 0)?;
        let modulus = modulus.get(start..)?;
        let fits = MODULUS_BYTES.contains(&modulus.len()) && modulus.last().is_some_and(|last| last % 2 == 1);
        (fits && exponent == EXPONENT).then(|| Self::Rsa(modulus.to_vec()))
    }
}

/// Neither the secret nor what would fill a page.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?} {:?})", self.id, self.algorithm())
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

/// RSASSA-PKCS1-v1_5: what the signature stands for is compared with all that is due, so nothing of it is parsed.
fn rs256(modulus: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let hash = Sha256::digest(message);
    let Some(padding) = modulus.len().checked_sub(3 + SHA256_INFO.len() + hash.len()) else { return false };
    let due = [&[0, 1], vec![0xff; padding].as_slice(), &[0], SHA256_INFO, hash.as_slice()].concat();
    signature.len() == modulus.len()
        && match modulus.len() {
            256 => is_power::<{ U2048::LIMBS }>(modulus, signature, &due),
            _ => is_power::<{ U4096::LIMBS }>(modulus, signature, &due),
        }
}

/// Whether `base`, to the power of 65537, is `due` in the ring of `modulus`.
fn is_power<const LIMBS: usize>(modulus: &[u8], base: &[u8], due: &[u8]) -> bool {
    let [Some(modulus), Some(base), Some(due)] = [modulus, base, due].map(number::<LIMBS>) else { return false };
    // An even one has no such arithmetic; keys of that kind are not taken.
    if base >= modulus || !bool::from(modulus.bit(0)) {
        return false;
    }
    let first = DynResidue::new(&base, DynResidueParams::new(&modulus));
    let power = (0..16).fold(first, |power, _| power.square()).mul(&first);
    power.retrieve() == due
}

fn number<const LIMBS: usize>(bytes: &[u8]) -> Option<Uint<LIMBS>> {
    let zeros = Uint::<LIMBS>::BYTES.checked_sub(bytes.len())?;
    Some(Uint::from_be_slice(&[vec![0; zeros].as_slice(), bytes].concat()))
}

/// Base64 as tokens have it.
pub fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header and payload of RFC 7515, appendices A.2 and A.3, and their signatures.
    const CLAIMS: &str =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

    const RSA: &str = concat!(
        r#"{"kty":"RSA","e":"AQAB","n":""#,
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs",
        "D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV",
        "MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        r#""}"#
    );
    const RSA_SIGNATURE: &str = concat!(
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZ",
        "cAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-e",
        "OkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
    const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    const EC_SIGNATURE: &str = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    const OKP: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    const OKP_SIGNATURE: &str =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    const HMAC: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    const HMAC_SIGNATURE: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    /// The published examples: a key, what it signed, and its signature.
    fn examples() -> [(Key, String, Vec<u8>); 4] {
        let hmac_head = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
        [
            (Key::secret(None, &decoded(HMAC).unwrap()), format!("{hmac_head}.{CLAIMS}"), HMAC_SIGNATURE),
            (Key::written(None, RSA).unwrap(), format!("eyJhbGciOiJSUzI1NiJ9.{CLAIMS}"), RSA_SIGNATURE),
            (Key::written(None, EC).unwrap(), format!("eyJhbGciOiJFUzI1NiJ9.{CLAIMS}"), EC_SIGNATURE),
            (
                Key::written(None, OKP).unwrap(),
                "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
                OKP_SIGNATURE,
            ),
        ]
        .map(|(key, message, signature)| (key, message, decoded(signature).unwrap()))
    }

    #[test]
    fn the_published_examples_are_met_and_nothing_near_them() {
        for (key, message, signature) in examples() {
            let message = message.as_bytes();
            assert!(key.verify(message, &signature), "{key:?}");
            for at in [0, 1, signature.len() / 2, signature.len() - 1] {
                let mut other = signature.clone();
                other[at] ^= 1;
                assert!(!key.verify(message, &other), "{key:?}: byte {at}");
                assert!(!key.verify(message, &signature[..at]), "{key:?}: {at} bytes");
            }
            let longer = [signature.as_slice(), &[0]].concat();
            assert!(!key.verify(message, &longer) && !key.verify(&message[1..], &signature), "{key:?}");
            for length in [0, 32, 64, 256, 512] {
                assert!(!key.verify(message, &vec![0; length]) && !key.verify(message, &vec![0xff; length]), "{key:?}");
            }
            // No key takes what is another's.
            let others = examples().into_iter().filter(|(other, ..)| other.algorithm() != key.algorithm());
            assert!(others.into_iter().all(|(other, ..)| !other.verify(message, &signature)), "{key:?}");
        }
    }

    #[test]
    fn public_keys_are_read_as_people_write_them() {
        // The key of RFC 8410, section 10.1; the others are made of the examples above.
        let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        let bytes = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE";
        for text in [pem.to_owned(), pem.replace('\n', " "), bytes.to_owned(), format!("{bytes}=")] {
            let key = Key::written(None, &text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((key.algorithm(), key.public()), (Algorithm::EdDsa, decoded(bytes).unwrap()));
        }
        let Kind::P256(point) = Key::written(None, EC).unwrap().kind else { panic!("it is of P-256") };
        let der = [P256_INFO, point.to_encoded_point(false).as_bytes()].concat();
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
        // A point that is not on the curve, an exponent and a modulus that nobody should have.
        assert!(Key::written(None, &EC.replace("x_FEz", "y_FEz")).is_none());
        assert!(Key::written(None, &RSA.replace("AQAB", "Aw")).is_none());
        assert!(Key::written(None, &RSA.replace("XpoQ", "Xpog")).is_none(), "it is even");
        assert!(Key::written(None, &RSA.replace("ofgWCuLjybRlzo0t", "")).is_none(), "it is short");
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
