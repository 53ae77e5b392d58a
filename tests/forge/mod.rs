//! A device with App Attest, and an authority of its own that certifies it: what tests need to play a phone. The keys are
//! made anew in each run.

use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _,
};

/// Whoever signs certificates: Apple, as tests see it.
pub(crate) struct Authority {
    root: Signer,
    between: Signer,
    /// The root's certificate, in DER.
    pub(crate) certificate: Vec<u8>,
    /// What may be wrong with what it makes.
    pub(crate) faults: Faults,
}

/// What a certificate is made with.
#[derive(Clone)]
pub(crate) struct Faults {
    /// Of the device's certificate, as `YYMMDDHHMMSSZ`.
    pub(crate) begins: &'static str,
    pub(crate) ends: &'static str,
    /// Whether the certificate between says that it is an authority.
    pub(crate) is_authority: bool,
    /// Whether the device's has something in it that must be understood.
    pub(crate) is_strange: bool,
    /// Of two certificates, and none more.
    pub(crate) certificates: usize,
}

impl Default for Faults {
    fn default() -> Self {
        Self { begins: "200101000000Z", ends: "491231235959Z", is_authority: true, is_strange: false, certificates: 2 }
    }
}

/// A key of an app on a phone.
pub(crate) struct Phone {
    key: EcdsaKeyPair,
    app: String,
    pub(crate) counter: u32,
    pub(crate) aaguid: [u8; 16],
}

struct Signer {
    key: EcdsaKeyPair,
    algorithm: &'static EcdsaSigningAlgorithm,
    name: &'static str,
}

const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
const EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: &[u8] = &[0x2b, 0x81, 4, 0, 0x22];
const NONCE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x63, 0x64, 8, 2];

impl Authority {
    /// On P-384, as Apple's, or on P-256, whose certificates are short.
    pub(crate) fn new(is_long: bool) -> Self {
        let algorithm = if is_long { &ECDSA_P384_SHA384_ASN1_SIGNING } else { &ECDSA_P256_SHA256_ASN1_SIGNING };
        let (root, between) = (Signer::new(algorithm, "Root"), Signer::new(algorithm, "Between"));
        let certificate = root.certificate(&root.key, "Root", "200101000000Z", "491231235959Z", &[authority(true)]);
        Self { root, between, certificate, faults: Faults::default() }
    }

    pub(crate) fn pem(&self) -> String {
        use base64::Engine as _;
        let digits = base64::engine::general_purpose::STANDARD.encode(&self.certificate);
        format!("-----BEGIN CERTIFICATE-----\n{digits}\n-----END CERTIFICATE-----\n")
    }

    /// What `attestKey` makes of the phone's key.
    pub(crate) fn attest(&self, phone: &Phone, client_data_hash: &[u8]) -> Vec<u8> {
        let id = phone.key_id();
        let mut authenticator = phone.authenticator();
        authenticator.extend_from_slice(&phone.aaguid);
        authenticator.extend_from_slice(&[0, 32]);
        authenticator.extend_from_slice(&id);
        let nonce = digest(&SHA256, &[&authenticator, client_data_hash].concat());
        let stated = der(0x30, &[der(0xa1, &[der(4, &[nonce.as_ref().to_vec()])])]);
        let Faults { begins, ends, is_authority, is_strange, certificates } = self.faults.clone();
        let mut extensions = vec![extension(NONCE, false, &stated)];
        if is_strange {
            extensions.push(extension(&[0x2a, 3], true, &[5, 0]));
        }
        let leaf = self.between.certificate(&phone.key, "Phone", begins, ends, &extensions);
        let own = [authority(is_authority)];
        let between = self.root.certificate(&self.between.key, "Between", "200101000000Z", "491231235959Z", &own);
        let chain: Vec<Vec<u8>> =
            [leaf, between].iter().take(certificates).map(|certificate| bytes(certificate)).collect();
        let list = [vec![0x80 + u8::try_from(chain.len()).expect("a few")], chain.concat()].concat();
        let statement = [vec![0xa2], text("x5c"), list, text("receipt"), bytes(b"receipt")].concat();
        let format = [text("fmt"), text("apple-appattest")].concat();
        [vec![0xa3], format, text("attStmt"), statement, text("authData"), bytes(&authenticator)].concat()
    }
}

impl Phone {
    /// Of the app `TEAM.bundle`.
    pub(crate) fn new(app: &str) -> Self {
        let key = pair(&ECDSA_P256_SHA256_ASN1_SIGNING);
        Self { key, app: app.to_owned(), counter: 0, aaguid: *b"appattest\0\0\0\0\0\0\0" }
    }

    pub(crate) fn key_id(&self) -> Vec<u8> {
        digest(&SHA256, self.key.public_key().as_ref()).as_ref().to_vec()
    }

    /// What `generateAssertion` makes.
    pub(crate) fn assert(&mut self, client_data_hash: &[u8]) -> Vec<u8> {
        self.counter += 1;
        let authenticator = self.authenticator();
        let nonce = digest(&SHA256, &[&authenticator, client_data_hash].concat());
        let signature = self.key.sign(&SystemRandom::new(), nonce.as_ref()).expect("it signs");
        let fields = [text("signature"), bytes(signature.as_ref()), text("authenticatorData"), bytes(&authenticator)];
        [vec![0xa2], fields.concat()].concat()
    }

    fn authenticator(&self) -> Vec<u8> {
        let app = digest(&SHA256, self.app.as_bytes());
        [app.as_ref(), &[0x40], &self.counter.to_be_bytes()].concat()
    }
}

impl Signer {
    fn new(algorithm: &'static EcdsaSigningAlgorithm, name: &'static str) -> Self {
        Self { key: pair(algorithm), algorithm, name }
    }

    /// Of somebody's key.
    fn certificate(&self, key: &EcdsaKeyPair, of: &str, begins: &str, ends: &str, extensions: &[Vec<u8>]) -> Vec<u8> {
        let is_long = std::ptr::eq(self.algorithm, &ECDSA_P384_SHA384_ASN1_SIGNING);
        let hash = der(0x30, &[der(6, &[if is_long { ECDSA_SHA384 } else { ECDSA_SHA256 }.to_vec()])]);
        let point = key.public_key().as_ref().to_vec();
        let curve = if point.len() == 65 { P256 } else { P384 };
        let algorithm = der(0x30, &[der(6, &[EC_KEY.to_vec()]), der(6, &[curve.to_vec()])]);
        let time = |text: &str| der(0x17, &[text.as_bytes().to_vec()]);
        let body = der(
            0x30,
            &[
                der(0xa0, &[der(2, &[vec![2]])]),
                der(2, &[vec![1]]),
                hash.clone(),
                name(self.name),
                der(0x30, &[time(begins), time(ends)]),
                name(of),
                der(0x30, &[algorithm, der(3, &[vec![0], point])]),
                der(0xa3, &[der(0x30, extensions)]),
            ],
        );
        let signature = self.key.sign(&SystemRandom::new(), &body).expect("it signs");
        der(0x30, &[body, hash, der(3, &[vec![0], signature.as_ref().to_vec()])])
    }
}

fn pair(algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("it makes a key");
    EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random).expect("it makes a key")
}

/// A name with nothing but a common name.
fn name(common: &str) -> Vec<u8> {
    let own = der(0x30, &[der(6, &[vec![0x55, 4, 3]]), der(0x0c, &[common.as_bytes().to_vec()])]);
    der(0x30, &[der(0x31, &[own])])
}

fn authority(is_one: bool) -> Vec<u8> {
    let flags = if is_one { vec![der(1, &[vec![0xff]])] } else { Vec::new() };
    extension(&[0x55, 0x1d, 0x13], true, &der(0x30, &flags))
}

fn extension(name: &[u8], is_critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if is_critical { der(1, &[vec![0xff]]) } else { Vec::new() };
    der(0x30, &[der(6, &[name.to_vec()]), critical, der(4, &[value.to_vec()])])
}

fn der(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let content = parts.concat();
    let length = match u8::try_from(content.len()) {
        Ok(short @ 0..=127) => vec![short],
        Ok(long) => vec![0x81, long],
        Err(_) => [&[0x82][..], &u16::try_from(content.len()).expect("a short value").to_be_bytes()].concat(),
    };
    [vec![tag], length, content].concat()
}

/// CBOR, of any length that fits two bytes.
fn bytes(content: &[u8]) -> Vec<u8> {
    [&[0x59][..], &u16::try_from(content.len()).expect("a short value").to_be_bytes(), content].concat()
}

fn text(content: &str) -> Vec<u8> {
    [&[0x78, u8::try_from(content.len()).expect("a short text")], content.as_bytes()].concat()
}
