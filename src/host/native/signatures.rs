//! Signatures, by ring, which rustls brings along.

use std::borrow::Cow;

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

use crate::auth::proof::{Algorithm, RSA_EXPONENT, Signed};
use crate::wire::der::{INTEGER, SEQUENCE};

/// As [`crate::host::Host::verify`].
pub fn verify(signed: &Signed) -> bool {
    let Signed { algorithm, key, message, signature } = signed;
    let (algorithm, signature): (&dyn VerificationAlgorithm, _) = match algorithm {
        Algorithm::P256Sha256 => (&ECDSA_P256_SHA256_FIXED, Cow::Borrowed(signature)),
        Algorithm::P384Sha256 => (&ECDSA_P384_SHA256_ASN1, Cow::Owned(der(signature))),
        Algorithm::P384Sha384 => (&ECDSA_P384_SHA384_FIXED, Cow::Borrowed(signature)),
        Algorithm::Ed25519 => (&ED25519, Cow::Borrowed(signature)),
        Algorithm::Rs256 => {
            let key = RsaPublicKeyComponents { n: key.as_slice(), e: &RSA_EXPONENT };
            return key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok();
        }
    };
    UnparsedPublicKey::new(algorithm, key).verify(message, &signature).is_ok()
}

/// The two numbers of P-384 in DER, the only form in which ring takes them with SHA-256; nothing of what is too short or long.
fn der(numbers: &[u8]) -> Vec<u8> {
    let mut der = Vec::new();
    for number in numbers.chunks(48).filter(|_| numbers.len() == 96) {
        let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
        let digits = number.get(start..).unwrap_or_default();
        // Without a zero before it, it would be negative.
        let zeros = usize::from(digits.first().is_none_or(|first| *first >= 0x80));
        der.extend([INTEGER, zeros as u8 + digits.len() as u8]);
        der.extend(std::iter::repeat_n(0, zeros));
        der.extend(digits);
    }
    [&[SEQUENCE, der.len() as u8], der.as_slice()].concat()
}

/// As [`crate::host::Host::sign`].
pub fn sign(key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let key = RsaKeyPair::from_pkcs8(key).ok()?;
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
    Some(signature)
}
