//! Signatures, in wasm: Spin has none of its own.
//!
//! What signs takes the same time for every key of a length; it signs once an hour.

use crypto_bigint::U2048;
use crypto_bigint::modular::runtime_mod::{DynResidue, DynResidueParams};
use sha2::{Digest as _, Sha256, Sha384};

use crate::auth::proof::{Algorithm, Signed};
use crate::wire::der::{INTEGER, OCTET_STRING, OID, SEQUENCE, only};

/// As [`crate::host::Host::verify`].
pub(super) fn verify(signed: &Signed) -> bool {
    let Some(numbers) = signed.numbers() else { return false };
    match signed.algorithm {
        Algorithm::P256Sha256 => p256(&signed.key, &Sha256::digest(&signed.message), &numbers),
        Algorithm::P384Sha256 => p384(&signed.key, &Sha256::digest(&signed.message), &numbers),
        Algorithm::P384Sha384 => p384(&signed.key, &Sha384::digest(&signed.message), &numbers),
    }
    .is_some()
}

fn p256(key: &[u8], hash: &[u8], numbers: &[u8]) -> Option<()> {
    use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
    use p256::ecdsa::{Signature, VerifyingKey};
    let key = VerifyingKey::from_sec1_bytes(key).ok()?;
    key.verify_prehash(hash, &Signature::from_slice(numbers).ok()?).ok()
}

fn p384(key: &[u8], hash: &[u8], numbers: &[u8]) -> Option<()> {
    use p384::ecdsa::signature::hazmat::PrehashVerifier as _;
    use p384::ecdsa::{Signature, VerifyingKey};
    let key = VerifyingKey::from_sec1_bytes(key).ok()?;
    key.verify_prehash(hash, &Signature::from_slice(numbers).ok()?).ok()
}

/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
/// What stands before the hash in what is signed: "SHA-256, so long" in DER (RFC 8017, section 9.2).
const SHA256_INFO: &[u8] =
    &[0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// As [`crate::host::Host::sign`]; by keys of 2048 bits, as Google's are.
pub(super) fn sign(key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let mut outer = only(key, SEQUENCE)?;
    outer.of(INTEGER)?;
    if outer.within(SEQUENCE)?.of(OID)? != RSA {
        return None;
    }
    let mut numbers = only(outer.of(OCTET_STRING)?, SEQUENCE)?;
    numbers.of(INTEGER)?;
    let modulus = positive(numbers.of(INTEGER)?).filter(|modulus| modulus.len() == U2048::BYTES)?;
    numbers.of(INTEGER)?;
    let exponent = positive(numbers.of(INTEGER)?)?;

    let hash = Sha256::digest(message);
    let padding = U2048::BYTES - 3 - SHA256_INFO.len() - hash.len();
    let padded = [&[0, 1], vec![0xff; padding].as_slice(), &[0], SHA256_INFO, hash.as_slice()].concat();
    let [modulus, padded, exponent] = [number(modulus)?, number(&padded)?, number(exponent)?];
    // An even one has no such arithmetic.
    if padded >= modulus || !bool::from(modulus.bit(0)) {
        return None;
    }
    let power = DynResidue::new(&padded, DynResidueParams::new(&modulus)).pow(&exponent).retrieve();
    Some(power.as_limbs().iter().rev().flat_map(|limb| limb.0.to_be_bytes()).collect())
}

fn number(bytes: &[u8]) -> Option<U2048> {
    let zeros = U2048::BYTES.checked_sub(bytes.len())?;
    Some(U2048::from_be_slice(&[vec![0; zeros].as_slice(), bytes].concat()))
}

/// A number's bytes without zeros before them.
fn positive(bytes: &[u8]) -> Option<&[u8]> {
    let start = bytes.iter().position(|byte| *byte != 0)?;
    bytes.get(start..)
}
