//! App Attest: a key in a device's Secure Enclave, of which Apple certifies that it was made there by an app, and what
//! it signs from then on. Apple has no server to ask: all is checked here.
//!
//! Source: "Validating apps that connect to your server" and "Attestation Object Validation Guide", Apple developer
//! documentation, read 2026-11.

use sha2::{Digest as _, Sha256};

use super::Refusal;
use super::certificate::{Certificate, Fault};
use crate::auth::proof::{Algorithm, Claim, Curve, Signed};
use crate::host::Millis;
use crate::wire::cbor::Cbor;
use crate::wire::der::{OCTET_STRING, SEQUENCE, only};
use crate::wire::json::words;
use crate::wire::pem;

/// "Apple App Attestation Root CA", good until 2045-03-15. SHA-256 of its DER:
/// 1cb9823ba28ba6ad2d33a006941de2ae4f513ef1d4e831b9f7e0fa7b6242c932.
///
/// Source: https://www.apple.com/certificateauthority/Apple_App_Attestation_Root_CA.pem, as public code has it, read 2026-11.
pub const ROOT: &str = "-----BEGIN CERTIFICATE-----
MIICITCCAaegAwIBAgIQC/O+DvHN0uD7jG5yH2IXmDAKBggqhkjOPQQDAzBSMSYw
JAYDVQQDDB1BcHBsZSBBcHAgQXR0ZXN0YXRpb24gUm9vdCBDQTETMBEGA1UECgwK
QXBwbGUgSW5jLjETMBEGA1UECAwKQ2FsaWZvcm5pYTAeFw0yMDAzMTgxODMyNTNa
Fw00NTAzMTUwMDAwMDBaMFIxJjAkBgNVBAMMHUFwcGxlIEFwcCBBdHRlc3RhdGlv
biBSb290IENBMRMwEQYDVQQKDApBcHBsZSBJbmMuMRMwEQYDVQQIDApDYWxpZm9y
bmlhMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAERTHhmLW07ATaFQIEVwTtT4dyctdh
NbJhFs/Ii2FdCgAHGbpphY3+d8qjuDngIN3WVhQUBHAoMeQ/cLiP1sOUtgjqK9au
Yen1mMEvRq9Sk3Jm5X8U62H+xTD3FE9TgS41o0IwQDAPBgNVHRMBAf8EBTADAQH/
MB0GA1UdDgQWBBSskRBTM72+aEH/pwyp5frq5eWKoTAOBgNVHQ8BAf8EBAMCAQYw
CgYIKoZIzj0EAwMDaAAwZQIwQgFGnByvsiVbpTKwSga0kP0e8EeDS4+sQmTvb7vn
53O5+FRXgeLhpJ06ysC5PrOyAjEAp5U4xDgEgllF7En3VcE3iexZZtKeYnpqtijV
oyFraWVIyd/dganmrduC1bmTBGwD
-----END CERTIFICATE-----";

words! {
    /// Which of Apple's environments a build of an app uses.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum Environment = "an environment of App Attest" {
        /// Of apps from the App Store, TestFlight and enterprises.
        #[default]
        Production as "production",
        /// Of builds that run from Xcode.
        Development as "development",
    }
}

impl Environment {
    fn aaguid(self) -> &'static [u8; 16] {
        match self {
            Self::Production => b"appattest\0\0\0\0\0\0\0",
            Self::Development => b"appattestdevelop",
        }
    }
}

/// An app whose devices are believed.
#[derive(Debug)]
pub struct App {
    /// SHA-256 of `TEAM.bundle`.
    pub id_sha256: [u8; 32],
    pub environment: Environment,
    /// To whom the certificates of its devices lead.
    pub root: Certificate,
}

/// The public key of a device, a point of P-256, uncompressed.
pub type Key = [u8; 65];

/// What a device sends once for a key, as `attestKey` makes it: the key, if it was made for `client_data_hash` by a good app
/// on a real device.
pub fn attested(
    object: &[u8],
    key_id: &[u8],
    client_data_hash: &[u8],
    app: &App,
    now: Millis,
) -> Result<Claim<Key>, Refusal> {
    let object = Attestation::read(object).ok_or(Refusal::Damaged)?;
    let [leaf, between] = object.certificates.as_slice() else { return Err(Refusal::Chain) };
    let read = |der: &[u8]| Certificate::read(der).ok_or(Refusal::Damaged);
    let (leaf, between) = (read(leaf)?, read(between)?);
    let signed = vec![by(&leaf, &between, now)?, by(&between, &app.root, now)?];

    let nonce = nonce(object.authenticator, client_data_hash);
    let stated = leaf.extension(NONCE).and_then(stated_nonce).ok_or(Refusal::Certificate)?;
    if stated != nonce {
        return Err(Refusal::Nonce);
    }
    let key: Key = leaf.key.as_slice().try_into().map_err(|_| Refusal::Certificate)?;
    let authenticator = Authenticator::read(object.authenticator).ok_or(Refusal::Damaged)?;
    let made = authenticator.made.ok_or(Refusal::Damaged)?;
    if Sha256::digest(key).as_slice() != key_id || made.id != key_id {
        return Err(Refusal::KeyId);
    }
    if authenticator.app != app.id_sha256 {
        return Err(Refusal::App);
    }
    if authenticator.counter != 0 {
        return Err(Refusal::Counter);
    }
    if made.aaguid != app.environment.aaguid() {
        return Err(Refusal::Environment);
    }
    Ok(Claim { of: key, signed })
}

/// What a device makes with its key from then on, as `generateAssertion` makes it: its counter, if that has risen above
/// `counter` and it was made for `client_data_hash`.
pub fn asserted(
    object: &[u8],
    (key, counter): (&Key, u32),
    client_data_hash: &[u8],
    app: &App,
) -> Result<Claim<u32>, Refusal> {
    let object = Assertion::read(object).ok_or(Refusal::Damaged)?;
    let authenticator = Authenticator::read(object.authenticator).ok_or(Refusal::Damaged)?;
    if authenticator.app != app.id_sha256 {
        return Err(Refusal::App);
    }
    if authenticator.counter <= counter {
        return Err(Refusal::Counter);
    }
    let signed = Signed {
        algorithm: Algorithm::P256Sha256,
        key: key.to_vec(),
        message: nonce(object.authenticator, client_data_hash).to_vec(),
        signature: Curve::P256.numbers(object.signature).ok_or(Refusal::Damaged)?,
    };
    Ok(Claim { of: authenticator.counter, signed: vec![signed] })
}

/// A root certificate, in PEM.
pub fn root(text: &str) -> Option<Certificate> {
    Certificate::read(&pem::block(text, "CERTIFICATE")?)
}

pub fn id_sha256(team: &str, bundle: &str) -> [u8; 32] {
    Sha256::digest(format!("{team}.{bundle}")).into()
}

/// 1.2.840.113635.100.8.2
const NONCE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x63, 0x64, 8, 2];

fn by(certificate: &Certificate, issuer: &Certificate, now: Millis) -> Result<Signed, Refusal> {
    certificate.by(issuer, now).map_err(|fault| match fault {
        Fault::Issuer => Refusal::Chain,
        Fault::Expired => Refusal::CertificateTime,
        Fault::Unfit => Refusal::Certificate,
    })
}

fn nonce(authenticator: &[u8], client_data_hash: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(authenticator).chain_update(client_data_hash).finalize().into()
}

/// That of the extension, in which it stands under the tag 1.
fn stated_nonce(extension: &[u8]) -> Option<&[u8]> {
    only(extension, SEQUENCE)?.within(0xa1)?.of(OCTET_STRING)
}

struct Attestation<'a> {
    /// The device's own first.
    certificates: Vec<&'a [u8]>,
    authenticator: &'a [u8],
}

/// Apple sends two.
const CERTIFICATES_MAX: u64 = 4;

impl<'a> Attestation<'a> {
    fn read(object: &'a [u8]) -> Option<Self> {
        let (mut format, mut authenticator, mut certificates) = (None, None, Vec::new());
        let mut at = Cbor::new(object);
        at.fields(|name, at| {
            match name {
                "fmt" => format = Some(at.text()?),
                "authData" => authenticator = Some(at.bytes()?),
                "attStmt" => at.fields(|name, at| {
                    if name == "x5c" {
                        certificates.clear();
                        for _ in 0..at.list().filter(|count| *count <= CERTIFICATES_MAX)? {
                            certificates.push(at.bytes()?);
                        }
                    }
                    Some(())
                })?,
                _ => {}
            }
            Some(())
        })?;
        let is_apples = at.is_at_end() && format == Some("apple-appattest");
        Some(Self { certificates, authenticator: authenticator.filter(|_| is_apples)? })
    }
}

struct Assertion<'a> {
    signature: &'a [u8],
    authenticator: &'a [u8],
}

impl<'a> Assertion<'a> {
    fn read(object: &'a [u8]) -> Option<Self> {
        let (mut signature, mut authenticator) = (None, None);
        let mut at = Cbor::new(object);
        at.fields(|name, at| {
            match name {
                "signature" => signature = Some(at.bytes()?),
                "authenticatorData" => authenticator = Some(at.bytes()?),
                _ => {}
            }
            Some(())
        })?;
        Some(Self { signature: signature?, authenticator: authenticator.filter(|_| at.is_at_end())? })
    }
}

/// What WebAuthn calls authenticator data.
struct Authenticator<'a> {
    /// SHA-256 of the app's identifier.
    app: [u8; 32],
    /// How often the key has signed.
    counter: u32,
    made: Option<Made<'a>>,
}

/// The key that it was made with.
struct Made<'a> {
    aaguid: &'a [u8; 16],
    id: &'a [u8],
}

/// Of its flags: whether a key follows. An assertion has it too, and no key.
const HAS_KEY: u8 = 0x40;

impl<'a> Authenticator<'a> {
    /// Behind the key's identifier stand the key, which is that of the certificate, and what devices say of themselves.
    fn read(from: &'a [u8]) -> Option<Self> {
        let (app, rest) = from.split_first_chunk::<32>()?;
        let (flags, rest) = rest.split_first()?;
        let (counter, rest) = rest.split_first_chunk::<4>()?;
        let made = || {
            let (aaguid, rest) = rest.split_first_chunk::<16>()?;
            let (length, rest) = rest.split_first_chunk::<2>()?;
            Some(Made { aaguid, id: rest.get(..u16::from_be_bytes(*length).into())? })
        };
        let made = if flags & HAS_KEY == 0 { None } else { made() };
        Some(Self { app: *app, counter: u32::from_be_bytes(*counter), made })
    }
}

#[cfg(test)]
mod tests;
