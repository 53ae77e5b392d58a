//! What hosts make of the same signatures: ring, as natively, and wasm's own arithmetic, as on Spin.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use tollgate::auth::attest::apple::{App, Environment, ROOT, attested, id_sha256, root};
use tollgate::auth::key::{Key, decoded};
use tollgate::auth::proof::{Algorithm, Signed};
use tollgate::host::native::signatures as native;
use tollgate::limit::calendar::instant;
use tollgate::wire::der::{INTEGER, SEQUENCE, only};

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

fn ed25519() -> Signed {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let key = Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap();
    let message = b"what is said".to_vec();
    let signature = key.sign(&message).as_ref().to_vec();
    Signed { algorithm: Algorithm::Ed25519, key: key.public_key().as_ref().to_vec(), message, signature }
}

const RSA_KEYS: [&str; 3] =
    [include_str!("forge/rsa2048.pem"), include_str!("forge/rsa3072.pem"), include_str!("forge/rsa4096.pem")];

/// By keys of each length that is usual.
fn rsa() -> Vec<Signed> {
    RSA_KEYS
        .iter()
        .map(|pem| {
            let message = b"what is said".to_vec();
            let key = tollgate::wire::pem::block(pem, "PRIVATE KEY").unwrap();
            let signature = native::sign(&key, &message).unwrap();
            let public = RsaKeyPair::from_pkcs8(&key).unwrap().public().as_ref().to_vec();
            // A zero stands before it, without which it would be negative.
            let modulus = only(&public, SEQUENCE).unwrap().of(INTEGER).unwrap().strip_prefix(&[0]).unwrap().to_vec();
            Signed { algorithm: Algorithm::Rs256, key: modulus, message, signature }
        })
        .collect()
}

/// The header and payload of RFC 7515, appendices A.2 and A.3, RFC 8037, appendix A, and their signatures.
const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

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
const OKP_SIGNATURE: &str = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

/// The published examples of tokens.
fn examples() -> Vec<Signed> {
    let rows = [
        (RSA, format!("eyJhbGciOiJSUzI1NiJ9.{CLAIMS}"), RSA_SIGNATURE),
        (EC, format!("eyJhbGciOiJFUzI1NiJ9.{CLAIMS}"), EC_SIGNATURE),
        (OKP, "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(), OKP_SIGNATURE),
    ];
    let signed = rows.map(|(key, message, signature)| {
        Key::written(None, key).unwrap().signed(message.as_bytes(), &decoded(signature).unwrap()).unwrap()
    });
    signed.to_vec()
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
    let mut all = [apples(), examples(), rsa()].concat();
    for _ in 0..4 {
        all.push(made(Algorithm::P256Sha256, &ECDSA_P256_SHA256_FIXED_SIGNING));
        all.push(made(Algorithm::P384Sha384, &ECDSA_P384_SHA384_FIXED_SIGNING));
        all.push(ed25519());
    }
    use Algorithm::*;
    for algorithm in [P256Sha256, P384Sha256, P384Sha384, Rs256, Ed25519] {
        assert!(all.iter().any(|signed| signed.algorithm == algorithm), "{algorithm:?}");
    }
    for signed in &all {
        assert!(both(signed), "{signed:?}");
        let (last, key_last) = (signed.signature.len() - 1, signed.key.len() - 1);
        let flipped = |bytes: &[u8], place: usize| {
            let mut other = bytes.to_vec();
            other[place] ^= 1;
            other
        };
        let mut others = vec![
            Signed { message: flipped(&signed.message, 0), ..signed.clone() },
            Signed { message: Vec::new(), ..signed.clone() },
            Signed { key: signed.key[1..].to_vec(), ..signed.clone() },
            Signed { key: Vec::new(), ..signed.clone() },
            Signed { signature: Vec::new(), ..signed.clone() },
            Signed { signature: signed.signature[..last].to_vec(), ..signed.clone() },
            Signed { signature: [signed.signature.as_slice(), &[0]].concat(), ..signed.clone() },
            Signed { signature: [&[0], signed.signature.as_slice()].concat(), ..signed.clone() },
        ];
        for place in [0, 30, key_last] {
            others.push(Signed { key: flipped(&signed.key, place), ..signed.clone() });
        }
        for length in [32, 64, 96, 256, 384, 512] {
            others.push(Signed { signature: vec![0; length], ..signed.clone() });
            others.push(Signed { signature: vec![0xff; length], ..signed.clone() });
        }
        // Numbers that are small, and none.
        for (first, second) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let half = signed.signature.len() / 2;
            let numbers = [vec![0; half - 1], vec![first], vec![0; half - 1], vec![second]].concat();
            others.push(Signed { signature: numbers, ..signed.clone() });
        }
        // What is another's is none of its own, nor the same by another algorithm.
        let strange = all.iter().filter(|other| other.key != signed.key);
        others.extend(strange.map(|other| Signed { key: other.key.clone(), ..signed.clone() }));
        for algorithm in [P256Sha256, P384Sha256, P384Sha384, Rs256, Ed25519] {
            if algorithm != signed.algorithm {
                others.push(Signed { algorithm, ..signed.clone() });
            }
        }
        // Of RSA's some, which take long.
        for place in (0..=last).step_by(if last > 200 { 31 } else { 1 }) {
            others.push(Signed { signature: flipped(&signed.signature, place), ..signed.clone() });
        }
        assert!(!others.iter().any(both), "{signed:?}");
    }
}

#[test]
fn every_host_makes_the_same_signatures() {
    let message = b"header.claims";
    let key = tollgate::wire::pem::block(RSA_KEYS[0], "PRIVATE KEY").unwrap();
    let signature = native::sign(&key, message).unwrap();
    assert_eq!(spin::sign(&key, message).as_ref(), Some(&signature));
    let public = RsaKeyPair::from_pkcs8(&key).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public.public().as_ref());
    public.verify(message, &signature).unwrap();
    for length in 0..key.len() {
        assert!(spin::sign(&key[..length], message).is_none(), "{length}");
    }
    let elliptic = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    for wrong in [elliptic.as_ref(), b"", b"\x30\x00"] {
        assert_eq!((native::sign(wrong, message), spin::sign(wrong, message)), (None, None));
    }
}
