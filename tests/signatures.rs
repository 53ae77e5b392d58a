//! What hosts make of the same signatures: ring, as natively, and wasm's own arithmetic, as on Spin.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _,
    RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use tollgate::auth::attest::apple::{App, Environment, ROOT, attested, id_sha256, root};
use tollgate::auth::proof::{Algorithm, Signed};
use tollgate::host::native::signatures as native;
use tollgate::limit::calendar::instant;

mod auth {
    pub(crate) use tollgate::auth::proof;
}

mod wire {
    pub(crate) use tollgate::wire::der;
}

#[path = "../src/host/spin/signatures.rs"]
mod spin;

fn both(signed: &Signed) -> bool {
    let found = [native::verify(signed), spin::verify(signed)];
    assert_eq!(found[0], found[1], "{signed:?}");
    found[0]
}

fn made(algorithm: Algorithm, signing: &'static EcdsaSigningAlgorithm) -> Signed {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(signing, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(signing, key.as_ref(), &random).unwrap();
    let message = b"what is said".to_vec();
    let signature = key.sign(&random, &message).unwrap().as_ref().to_vec();
    Signed { algorithm, key: key.public_key().as_ref().to_vec(), message, signature }
}

/// Those of Apple's published example: SHA-256 and SHA-384 by keys on P-384.
fn apples() -> Vec<Signed> {
    let object: String = include_str!("../src/auth/attest/apple/guide.txt").split_whitespace().collect();
    let app = App {
        id_sha256: id_sha256("1234567890", "com.example.myapp"),
        environment: Environment::Production,
        root: root(ROOT).unwrap(),
    };
    let key_id = STANDARD.decode("zgSY9YSD+7TaDXssY6WlOPVS1K3Lmk+pFhlcSWE+ZV0=").unwrap();
    let now = instant("2026-04-21T18:13:12Z").unwrap();
    attested(&STANDARD.decode(object).unwrap(), &key_id, b"example_server_challenge", &app, now).unwrap().signed
}

#[test]
fn every_host_takes_the_same_signatures() {
    let mut all = apples();
    for _ in 0..4 {
        all.push(made(Algorithm::P256Sha256, &ECDSA_P256_SHA256_ASN1_SIGNING));
        all.push(made(Algorithm::P384Sha384, &ECDSA_P384_SHA384_ASN1_SIGNING));
    }
    for algorithm in [Algorithm::P256Sha256, Algorithm::P384Sha256, Algorithm::P384Sha384] {
        assert!(all.iter().any(|signed| signed.algorithm == algorithm), "{algorithm:?}");
    }
    for signed in all {
        assert!(both(&signed), "{signed:?}");
        let last = signed.signature.len() - 1;
        let flipped = |bytes: &[u8], place: usize| {
            let mut other = bytes.to_vec();
            other[place] ^= 1;
            other
        };
        let mut others = vec![
            Signed { message: flipped(&signed.message, 0), ..signed.clone() },
            Signed { key: flipped(&signed.key, 0), ..signed.clone() },
            Signed { key: flipped(&signed.key, 40), ..signed.clone() },
            Signed { key: signed.key[1..].to_vec(), ..signed.clone() },
            Signed { key: Vec::new(), ..signed.clone() },
            Signed { signature: signed.signature[..last].to_vec(), ..signed.clone() },
            Signed { signature: b"\x30\x06\x02\x01\x00\x02\x01\x00".to_vec(), ..signed.clone() },
            Signed { signature: b"\x30\x06\x02\x01\x01\x02\x01\x01".to_vec(), ..signed.clone() },
            Signed { signature: [signed.signature.as_slice(), &[0]].concat(), ..signed.clone() },
        ];
        others
            .extend((0..=last).map(|place| Signed { signature: flipped(&signed.signature, place), ..signed.clone() }));
        assert!(!others.iter().any(both), "{signed:?}");
    }
}

#[test]
fn every_host_makes_the_same_signatures() {
    let message = b"header.claims";
    let key = tollgate::wire::pem::block(include_str!("forge/rsa2048.pem"), "PRIVATE KEY").unwrap();
    let signature = native::sign(&key, message).unwrap();
    assert_eq!(spin::sign(&key, message).as_ref(), Some(&signature));
    let public = RsaKeyPair::from_pkcs8(&key).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public.public().as_ref());
    public.verify(message, &signature).unwrap();
    for length in 0..key.len() {
        assert!(spin::sign(&key[..length], message).is_none(), "{length}");
    }
    let elliptic = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
    for wrong in [elliptic.as_ref(), b"", b"\x30\x00"] {
        assert_eq!((native::sign(wrong, message), spin::sign(wrong, message)), (None, None));
    }
}
