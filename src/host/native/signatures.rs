//! Signatures, by ring, which rustls brings along.

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, RSA_PKCS1_SHA256, RsaKeyPair,
    UnparsedPublicKey, VerificationAlgorithm,
};

use crate::auth::proof::{Algorithm, Signed};

/// As [`crate::host::Host::verify`].
pub fn verify(signed: &Signed) -> bool {
    let algorithm: &dyn VerificationAlgorithm = match signed.algorithm {
        Algorithm::P256Sha256 => &ECDSA_P256_SHA256_ASN1,
        Algorithm::P384Sha256 => &ECDSA_P384_SHA256_ASN1,
        Algorithm::P384Sha384 => &ECDSA_P384_SHA384_ASN1,
    };
    UnparsedPublicKey::new(algorithm, &signed.key).verify(&signed.message, &signed.signature).is_ok()
}

/// As [`crate::host::Host::sign`].
pub fn sign(key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let key = RsaKeyPair::from_pkcs8(key).ok()?;
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
    Some(signature)
}
