//! Apps on phones: what Apple and Google say of the app and the device that ask. Nothing of a device is kept: its key
//! goes with the app, sealed.
//!
//! Apple's word is checked here, to its last signature, which hosts check; Google's servers are asked for theirs.

pub mod apple;
pub mod certificate;
pub mod google;
pub mod seal;

use std::fmt;

/// Why an app or a device is not believed, in words for its developers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    // Of a challenge.
    NoChallenge,
    Late,
    Replayed,
    // Of what an app says with it.
    Damaged,
    Chain,
    Certificate,
    CertificateTime,
    Signature,
    Nonce,
    KeyId,
    App,
    Environment,
    Counter,
    Device,
    Blocked,
    // Of Google's verdict.
    Unbound,
    Old,
    Package,
    Unrecognized,
    Unsigned,
    Version,
    Integrity,
    Unlicensed,
    Test,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoChallenge => "the challenge is not one that was made here for this app",
            Self::Late => "the challenge has expired; ask for a new one",
            Self::Replayed => "the challenge has been used; ask for a new one for each exchange",
            Self::Damaged => "what the device made cannot be read",
            Self::Chain => "the certificates do not lead to the root that this app's devices have",
            Self::Certificate => "the device's certificates are not fit for what they are used for",
            Self::CertificateTime => "the device's certificates are not good at this time",
            Self::Signature => "a signature is not good",
            Self::Nonce => {
                "it was not made for this challenge: the clientDataHash is the SHA-256 of the challenge's text"
            }
            Self::KeyId => "the key's identifier is not that of the key",
            Self::App => "it was made by another app",
            Self::Environment => "it was made in another environment of App Attest than this app is configured for",
            Self::Counter => "the counter has not risen",
            Self::Device => "the device is not one that was attested here for this app; attest a new key",
            Self::Blocked => "this device is blocked",
            Self::Unbound => {
                "the verdict is not for this challenge: the requestHash, or the nonce, is the challenge's text"
            }
            Self::Old => "the verdict is too old",
            Self::Package => "the verdict is of another package",
            Self::Unrecognized => "Google Play does not recognize the app",
            Self::Unsigned => "the app is signed with another certificate",
            Self::Version => "this version of the app is too old; update it",
            Self::Integrity => "the device does not meet the integrity that this app asks for",
            Self::Unlicensed => "the app was not installed by a user who has it from Google Play",
            Self::Test => "the verdict is a test's, which this app does not take",
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_words_of_its_own() {
        use Refusal::*;
        let all = [
            NoChallenge,
            Late,
            Replayed,
            Damaged,
            Chain,
            Certificate,
            CertificateTime,
            Signature,
            Nonce,
            KeyId,
            App,
            Environment,
            Counter,
            Device,
            Blocked,
            Unbound,
            Old,
            Package,
            Unrecognized,
            Unsigned,
            Version,
            Integrity,
            Unlicensed,
            Test,
        ];
        let words: std::collections::BTreeSet<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(words.len(), all.len());
    }
}
