//! Signatures, in wasm: Spin has none of its own.
//!
//! What signs takes the same time for every key of a length; it signs once an hour.

use crypto_bigint::modular::runtime_mod::{DynResidue, DynResidueParams};
use crypto_bigint::{U2048, U4096, Uint};
use sha2::{Digest as _, Sha256, Sha384};

use crate::auth::proof::{Algorithm, Signed};
use crate::wire::der::{INTEGER, OCTET_STRING, OID, SEQUENCE, only};

/// As [`crate::host::Host::verify`].
pub(super) fn verify(signed: &Signed) -> bool {
    let Signed { algorithm, key, message, signature } = signed;
    match algorithm {
        Algorithm::P256Sha256 => p256(key, &Sha256::digest(message), signature),
        Algorithm::P384Sha256 => p384(key, &Sha256::digest(message), signature),
        Algorithm::P384Sha384 => p384(key, &Sha384::digest(message), signature),
        Algorithm::Rs256 => rs256(key, message, signature),
        Algorithm::Ed25519 => ed25519(key, message, signature),
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

fn ed25519(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
    key.verify_strict(message, &ed25519_dalek::Signature::from_slice(signature).ok()?).ok()
}

/// What the signature stands for is compared with all that is due, so nothing of it is parsed.
fn rs256(modulus: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let due = padded(message, modulus.len())?;
    let is_good = signature.len() == modulus.len()
        && match modulus.len() {
            U2048::BYTES => is_power::<{ U2048::LIMBS }>(modulus, signature, &due)?,
            _ => is_power::<{ U4096::LIMBS }>(modulus, signature, &due)?,
        };
    is_good.then_some(())
}

/// Whether `base`, to the power of 65537, is `due` in the ring of `modulus`.
fn is_power<const LIMBS: usize>(modulus: &[u8], base: &[u8], due: &[u8]) -> Option<bool> {
    let first = residue::<LIMBS>(modulus, base)?;
    let power = (0..16).fold(first, |power, _| power.square()).mul(&first);
    Some(power.retrieve() == number(due)?)
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

    let padded = padded(message, modulus.len())?;
    let power = residue::<{ U2048::LIMBS }>(modulus, &padded)?.pow(&number::<{ U2048::LIMBS }>(exponent)?).retrieve();
    Some(power.as_limbs().iter().rev().flat_map(|limb| limb.0.to_be_bytes()).collect())
}

/// What is signed for a message, as long as the modulus.
fn padded(message: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let hash = Sha256::digest(message);
    let padding = bytes.checked_sub(3 + SHA256_INFO.len() + hash.len())?;
    Some([&[0, 1], vec![0xff; padding].as_slice(), &[0], SHA256_INFO, hash.as_slice()].concat())
}

/// A number in the ring of `modulus`, if it is below that.
fn residue<const LIMBS: usize>(modulus: &[u8], own: &[u8]) -> Option<DynResidue<LIMBS>> {
    let [modulus, own] = [number::<LIMBS>(modulus)?, number(own)?];
    // An even one has no such arithmetic.
    let has_ring = own < modulus && bool::from(modulus.bit(0));
    has_ring.then(|| DynResidue::new(&own, DynResidueParams::new(&modulus)))
}

fn number<const LIMBS: usize>(bytes: &[u8]) -> Option<Uint<LIMBS>> {
    let zeros = Uint::<LIMBS>::BYTES.checked_sub(bytes.len())?;
    Some(Uint::from_be_slice(&[vec![0; zeros].as_slice(), bytes].concat()))
}

/// A number's bytes without zeros before them.
fn positive(bytes: &[u8]) -> Option<&[u8]> {
    let start = bytes.iter().position(|byte| *byte != 0)?;
    bytes.get(start..)
}
