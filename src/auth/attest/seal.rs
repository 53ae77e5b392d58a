//! What the gateway gives an app so that it need not remember it: challenges, and the keys of devices that were attested.
//! Both are good for one app only and carry a mark that nobody else can make; neither is a secret of the gateway's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::{Digest as _, Sha256};

use super::Refusal;
use super::apple::Key;
use crate::host::Millis;

/// Of one app.
#[derive(Clone)]
pub struct Seal(Hmac<Sha256>);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

/// A device that was attested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub key: Key,
    /// Of its last assertion.
    pub counter: u32,
}

/// So long a challenge is good: a device on a slow line asks Apple or Google meanwhile.
pub const CHALLENGE_MS: Millis = 5 * 60_000;
const MARK_BYTES: usize = 16;
/// Longer texts are none of ours.
const TEXT_BYTES_MAX: usize = 200;

impl Seal {
    /// `secret` is the gateway's.
    pub fn new(secret: &[u8; 32], app: &str) -> Self {
        // As long as HMAC makes every key.
        let mut key = [0; 64];
        key.iter_mut().zip(secret).for_each(|(byte, own)| *byte = *own);
        let mac: Hmac<Sha256> = Mac::new(&key.into());
        // Names hold no zero byte.
        Self(mac.chain_update("tollgate app 1\0").chain_update(app).chain_update([0]))
    }

    /// A new challenge, and when it ends.
    pub fn challenge(&self, random: [u64; 2], now: Millis) -> (String, Millis) {
        let ends = now.saturating_add(CHALLENGE_MS);
        let [high, low] = random;
        (self.close(CHALLENGE, &[ends.to_be_bytes(), high.to_be_bytes(), low.to_be_bytes()].concat()), ends)
    }

    /// When a challenge ends, if it was made here and has not.
    pub fn ends(&self, challenge: &str, now: Millis) -> Result<Millis, Refusal> {
        let payload = self.open(CHALLENGE, challenge).ok_or(Refusal::NoChallenge)?;
        let ends = payload.first_chunk().map(|ends| Millis::from_be_bytes(*ends)).ok_or(Refusal::NoChallenge)?;
        if now < ends { Ok(ends) } else { Err(Refusal::Late) }
    }

    /// What an app keeps of a device.
    pub fn device(&self, device: &Device) -> String {
        self.close(DEVICE, &[device.key.as_slice(), &device.counter.to_be_bytes()].concat())
    }

    pub fn opened(&self, device: &str) -> Result<Device, Refusal> {
        let payload = self.open(DEVICE, device).ok_or(Refusal::Device)?;
        let (key, counter) = payload.split_first_chunk().ok_or(Refusal::Device)?;
        let counter = counter.first_chunk().map(|counter| u32::from_be_bytes(*counter)).ok_or(Refusal::Device)?;
        Ok(Device { key: *key, counter })
    }

    fn close(&self, kind: u8, payload: &[u8]) -> String {
        let mark = self.0.clone().chain_update([kind]).chain_update(payload).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode([payload, mark.get(..MARK_BYTES).unwrap_or_default()].concat())
    }

    fn open(&self, kind: u8, text: &str) -> Option<Vec<u8>> {
        let mut bytes = URL_SAFE_NO_PAD.decode(Some(text).filter(|text| text.len() <= TEXT_BYTES_MAX)?).ok()?;
        let mark = bytes.split_off(bytes.len().checked_sub(MARK_BYTES)?);
        // In constant time.
        self.0.clone().chain_update([kind]).chain_update(&bytes).verify_truncated_left(&mark).ok()?;
        Some(bytes)
    }
}

impl Device {
    /// By which it is known to others: as Apple has it, SHA-256 of its key in standard base64.
    pub fn id(&self) -> String {
        base64::engine::general_purpose::STANDARD.encode(Sha256::digest(self.key))
    }
}

const CHALLENGE: u8 = 1;
const DEVICE: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_795_262_400_000;

    #[test]
    fn a_challenge_is_good_for_five_minutes_and_one_app() {
        let (own, other) = (Seal::new(&[1; 32], "a"), Seal::new(&[1; 32], "b"));
        let (challenge, ends) = own.challenge([7, 8], NOW);
        assert_eq!(ends, NOW + CHALLENGE_MS);
        assert_eq!(own.ends(&challenge, ends - 1), Ok(ends));
        assert_eq!(own.ends(&challenge, ends), Err(Refusal::Late));
        assert_eq!(other.ends(&challenge, NOW), Err(Refusal::NoChallenge));
        assert_eq!(Seal::new(&[2; 32], "a").ends(&challenge, NOW), Err(Refusal::NoChallenge));
        assert_ne!(own.challenge([7, 9], NOW).0, challenge);
        // Google takes nonces of 16 to 500 of these letters.
        assert!(challenge.len() >= 16 && challenge.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
    }

    #[test]
    fn a_device_is_what_was_sealed_and_nothing_else_is_one() {
        let seal = Seal::new(&[1; 32], "a");
        let device = Device { key: [4; 65], counter: 70_000 };
        let text = seal.device(&device);
        assert_eq!(seal.opened(&text), Ok(device));
        assert_eq!(seal.opened(&seal.challenge([0, 0], NOW).0), Err(Refusal::Device));
        assert_eq!(seal.ends(&text, NOW), Err(Refusal::NoChallenge));
        for place in 0..text.len() {
            let mut damaged = text.clone().into_bytes();
            damaged[place] = if damaged[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(seal.opened(std::str::from_utf8(&damaged).unwrap()), Err(Refusal::Device), "{place}");
            assert_eq!(seal.opened(text.get(..place).unwrap()), Err(Refusal::Device), "{place}");
        }
        assert_eq!(seal.opened(&"A".repeat(100_000)), Err(Refusal::Device));
    }
}
