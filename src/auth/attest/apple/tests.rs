//! Apple's published example, a real assertion, and what is near them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::host::native::signatures::verify;
use crate::limit::calendar::instant;

/// The attestation of Apple's "Attestation Object Validation Guide", read 2026-11.
const GUIDE: &str = include_str!("guide.txt");
const GUIDE_KEY: &str = "zgSY9YSD+7TaDXssY6WlOPVS1K3Lmk+pFhlcSWE+ZV0=";
/// Of which the guide's app made no hash, so that it stands where the hash should.
const GUIDE_CHALLENGE: &[u8] = b"example_server_challenge";
/// When its certificate was two days from its end.
const GUIDE_DAY: &str = "2026-04-21T18:13:12Z";

fn decoded(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    STANDARD.decode(digits).unwrap()
}

fn app(id: &str) -> App {
    let (team, bundle) = id.split_once('.').unwrap();
    App { id_sha256: id_sha256(team, bundle), environment: Environment::Production, root: root(ROOT).unwrap() }
}

fn guide() -> App {
    app("1234567890.com.example.myapp")
}

/// With its signatures checked.
fn attested_at(object: &[u8], key_id: &str, challenge: &[u8], app: &App, day: &str) -> Result<Key, Refusal> {
    let claim = attested(object, &decoded(key_id), challenge, app, instant(day).unwrap())?;
    assert_eq!(claim.signed.len(), 2);
    if claim.signed.iter().all(verify) { Ok(claim.of) } else { Err(Refusal::Signature) }
}

#[test]
fn the_root_is_apples() {
    let der = pem::block(ROOT, "CERTIFICATE").unwrap();
    let digest = Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(digest, "1cb9823ba28ba6ad2d33a006941de2ae4f513ef1d4e831b9f7e0fa7b6242c932");
    let root = root(ROOT).unwrap();
    assert!(verify(&root.by(&root, instant(GUIDE_DAY).unwrap()).unwrap()), "it signs itself");
}

#[test]
fn the_attestation_that_apple_publishes_is_good_and_nothing_near_it() {
    let object = decoded(GUIDE);
    let check = |key: &str, challenge: &[u8], app: &App, day: &str| attested_at(&object, key, challenge, app, day);
    let key = check(GUIDE_KEY, GUIDE_CHALLENGE, &guide(), GUIDE_DAY).unwrap();
    assert_eq!(STANDARD.encode(Sha256::digest(key)), GUIDE_KEY);

    let hashed = Sha256::digest(GUIDE_CHALLENGE);
    let development = App { environment: Environment::Development, ..guide() };
    let elsewhere = "9EZtaPketsEGIMt+Y8coMkRoXuHWRntUFg51MXIFfwM=";
    let cases = [
        (check(GUIDE_KEY, &hashed, &guide(), GUIDE_DAY), Refusal::Nonce),
        (check(elsewhere, GUIDE_CHALLENGE, &guide(), GUIDE_DAY), Refusal::KeyId),
        (check("", GUIDE_CHALLENGE, &guide(), GUIDE_DAY), Refusal::KeyId),
        (check(GUIDE_KEY, GUIDE_CHALLENGE, &app("1234567890.com.example.other"), GUIDE_DAY), Refusal::App),
        (check(GUIDE_KEY, GUIDE_CHALLENGE, &app("0987654321.com.example.myapp"), GUIDE_DAY), Refusal::App),
        (check(GUIDE_KEY, GUIDE_CHALLENGE, &development, GUIDE_DAY), Refusal::Environment),
        (check(GUIDE_KEY, GUIDE_CHALLENGE, &guide(), "2026-04-23T18:13:13Z"), Refusal::CertificateTime),
        (check(GUIDE_KEY, GUIDE_CHALLENGE, &guide(), "2026-04-20T18:13:11Z"), Refusal::CertificateTime),
    ];
    for (found, expected) in cases {
        assert_eq!(found, Err(expected));
    }
}

#[test]
fn of_a_damaged_attestation_nothing_is_believed_and_nothing_panics() {
    let object = decoded(GUIDE);
    let now = instant(GUIDE_DAY).unwrap();
    let key_id = decoded(GUIDE_KEY);
    let app = guide();
    for length in 0..object.len() {
        let found = attested(&object[..length], &key_id, GUIDE_CHALLENGE, &app, now);
        assert_eq!(found.err(), Some(Refusal::Damaged), "{length}");
    }
    // The receipt is for Apple's servers, and proves nothing here.
    let receipt =
        memchr::memmem::find(&object, b"receipt").unwrap()..memchr::memmem::rfind(&object, b"hauthData").unwrap();
    for place in (0..object.len()).filter(|place| !receipt.contains(place) || place % 50 == 0) {
        let mut other = object.clone();
        other[place] ^= 1;
        let found = attested(&other, &key_id, GUIDE_CHALLENGE, &app, now);
        let is_believed = found.is_ok_and(|claim| claim.signed.iter().all(verify));
        assert!(!is_believed || receipt.contains(&place), "{place}");
    }
}

/// An assertion of a device, from the tests of node-app-attest 1.0.1.
const ASSERTION: &str = "omlzaWduYXR1cmVYRzBFAiBB8BGAwkmFCg1M5J0mOYEun0SUN1/lse79/7ypG9WiMQIhAIHvqj7eg59B1PMFX1CN4GMGlsgfFtdL30pHCf7G/dNRcWF1dGhlbnRpY2F0b3JEYXRhWCXKPdw7T3iujcFZbHVrHX0mDSMrNms5PzEbrFbQPRA6rEAAAAAB";
const ASSERTED_KEY: &str = "BIOvbdmM4HD0y1MfGYLvq23IpHmhC/D6W/hxtEEyLpc/GFAfbYL9aQ0a7lpPO52Qt6Lq+eqcyFmqlxG2lsmpncw=";
const ASSERTED: &[u8] =
    br#"{"subject":"Lorem ipsum","message":"Lorem ipsum dolor sit amet, consectetur adipiscing elit."}"#;

#[test]
fn a_real_assertion_is_good_once_its_counter_has_risen_and_nothing_near_it() {
    let object = decoded(ASSERTION);
    let key: Key = decoded(ASSERTED_KEY).try_into().unwrap();
    let own = app("V8H6LQ9448.io.uebelacker.AppAttestExample");
    let hash = Sha256::digest(ASSERTED);
    let check = |object: &[u8], counter, hash: &[u8], app: &App| {
        let claim = asserted(object, (&key, counter), hash, app)?;
        if claim.signed.iter().all(verify) { Ok(claim.of) } else { Err(Refusal::Signature) }
    };
    assert_eq!(check(&object, 0, &hash, &own), Ok(1));
    assert_eq!(check(&object, 1, &hash, &own), Err(Refusal::Counter));
    assert_eq!(check(&object, 0, &Sha256::digest(b"another"), &own), Err(Refusal::Signature));
    assert_eq!(check(&object, 0, &hash, &guide()), Err(Refusal::App));
    for place in 0..object.len() {
        assert_eq!(check(&object[..place], 0, &hash, &own), Err(Refusal::Damaged), "{place}");
        let mut other = object.clone();
        other[place] ^= 1;
        assert!(check(&other, 0, &hash, &own).is_err(), "{place}");
    }
}
