//! `/v1/attest/…`: a phone asks for a challenge, shows what Apple or Google makes of it, and gets a short-lived token. Who
//! asks has no key yet, so all of it is bounded: the bodies, how many are looked at in a minute, and what is stored, which is
//! that a challenge was used, until it ends.

mod google;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest as _, Sha256};

pub(super) use self::google::Accesses;
use super::keys::read;
use super::{Gateway, store_down};
use crate::auth::attest::seal::Device;
use crate::auth::attest::{Refusal, apple};
use crate::auth::mint::{Minted, mint};
use crate::auth::proof::Claim;
use crate::auth::token::{Grant, Scope};
use crate::config::App;
use crate::error::{Error, Kind};
use crate::host::{Body, Host, Incoming, Millis};
use crate::limit::calendar::written_instant;
use crate::limit::{Admission, Bound};
use crate::wire::json::{objects, to_string, to_vec, written};

/// What a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Challenge,
    /// Apple's devices, once for a key.
    Attest,
    /// Apple's devices, from then on.
    Assert,
    Google,
}

impl Step {
    /// Of what stands behind `/attest`.
    pub(super) fn of(rest: &str) -> Option<Self> {
        Some(match rest {
            "/challenge" => Self::Challenge,
            "/apple" => Self::Attest,
            "/apple/assert" => Self::Assert,
            "/google" => Self::Google,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Challenge => "challenge",
            Self::Attest => "apple",
            Self::Assert => "apple/assert",
            Self::Google => "google",
        }
    }
}

/// Apple's attestations have 8 KB in base64, Google's tokens less.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;
const MINUTE_MS: Millis = 60_000;
/// By so much clocks of other machines may be behind, for which a used challenge is still good.
const SKEW_MS: Millis = 60_000;

objects! {
    /// What all of them have.
    #[derive(Default)]
    struct Shown {
        app: String,
        challenge: Option<String>,
        /// The end user, if the app knows it.
        user: Option<String>,
        key_id: Option<String>,
        attestation: Option<String>,
        device: Option<String>,
        assertion: Option<String>,
        token: Option<String>,
    }
}

written! {
    struct Challenge {
        challenge: String,
        expires_at: String,
    }

    struct Made {
        token: String,
        expires_at: String,
        /// What the device shows the next time.
        device?: Option<String>,
        device_id?: Option<String>,
    }

    struct Line<'a> {
        event: &'static str,
        app: &'a str,
        step: &'static str,
        user?: Option<&'a str>,
        refused?: Option<&'a str>,
    }
}

/// The body of the answer.
pub(super) async fn attest<H: Host>(
    gateway: &Gateway,
    host: &H,
    step: Step,
    request: &Incoming,
) -> Result<Vec<u8>, Error> {
    let body = match &request.body {
        Body::Whole(bytes) if bytes.len() <= BODY_BYTES_MAX => bytes,
        _ => return Err(Error::new(Kind::TooLarge, format!("the body is longer than {BODY_BYTES_MAX} bytes"))),
    };
    let known = |name: &str| gateway.config.apps.get(name).ok_or_else(|| Error::field("app", "no app of this name"));
    let shown: Shown = read(body)?;
    let app = known(&shown.app)?;
    if step == Step::Challenge {
        let (challenge, ends) = app.seal.challenge(random(host)?, host.now());
        return Ok(to_vec(&Challenge { challenge, expires_at: written_instant(ends) }));
    }
    let made = exchange(gateway, host, (app, step), &shown).await;
    let (user, refused) = match &made {
        Ok((_, user)) => (user.as_deref(), None),
        Err(error) => (None, Some(error.message.as_str())),
    };
    host.log(&to_string(&Line { event: "attest", app: &app.name, step: step.word(), user, refused }));
    made.map(|(made, _)| to_vec(&made))
}

/// The token, and whom it is for.
async fn exchange<H: Host>(
    gateway: &Gateway,
    host: &H,
    (app, step): (&App, Step),
    shown: &Shown,
) -> Result<(Made, Option<String>), Error> {
    let challenge = given(&shown.challenge, "challenge")?;
    let ends = app.seal.ends(challenge, host.now()).map_err(refused)?;
    let hash = client_data_hash(challenge, shown.user.as_deref())?;
    let device = match step {
        Step::Google => {
            let (own, token) = (on(&app.google, "google")?, given(&shown.token, "token")?);
            admit(host, (app, step), challenge, ends).await?;
            google::ask(gateway, host, own, token, &hash).await?;
            None
        }
        _ => Some(of_apple(host, (app, step), shown, &hash, (challenge, ends)).await?),
    };
    let device_id = device.as_ref().map(Device::id);
    // Google names no device: each of its tokens is for a user of its own.
    let own_user = || device_id.clone().unwrap_or_else(|| format!("google:{}", hex(&hash)));
    let user = Some(shown.user.clone().unwrap_or_else(own_user));
    let scope = Scope { user: user.clone(), ..app.scope.clone() };
    let [high, low] = random(host)?;
    let caller = gateway.config.callers.iter().find(|caller| caller.name == app.caller);
    let caller = caller.ok_or_else(|| Error::internal("this app's caller is not there"))?;
    let secret = gateway.config.token_secret.as_ref();
    let id = format!("{high:016x}{low:016x}");
    let Minted { token, expires } = mint(secret, (caller, None), &scope, (&id, app.token_seconds), host.now())?;
    let device = device.map(|device| app.seal.device(&device));
    Ok((Made { token, expires_at: written_instant(expires), device, device_id }, user))
}

/// The device that Apple certifies, or that has shown that it is one.
async fn of_apple<H: Host>(
    host: &H,
    (app, step): (&App, Step),
    shown: &Shown,
    hash: &[u8; 32],
    (challenge, ends): (&str, Millis),
) -> Result<Device, Error> {
    let own = on(&app.apple, "apple")?;
    let bytes = |text: &Option<String>, field: &str| {
        decoded(given(text, field)?).ok_or_else(|| Error::field(field, "not base64"))
    };
    let Claim { of: device, signed } = match step {
        Step::Attest => {
            let key_id = bytes(&shown.key_id, "key_id")?;
            let object = bytes(&shown.attestation, "attestation")?;
            let Claim { of: key, signed } =
                apple::attested(&object, &key_id, hash, own, host.now()).map_err(refused)?;
            Claim { of: Device { key, counter: 0 }, signed }
        }
        _ => {
            let Device { key, counter } = app.seal.opened(given(&shown.device, "device")?).map_err(refused)?;
            let object = bytes(&shown.assertion, "assertion")?;
            let Claim { of: counter, signed } =
                apple::asserted(&object, (&key, counter), hash, own).map_err(refused)?;
            Claim { of: Device { key, counter }, signed }
        }
    };
    if app.blocked.contains(&device.id()) {
        return Err(refused(Refusal::Blocked));
    }
    // Before the signatures are checked, which takes long.
    admit(host, (app, step), challenge, ends).await?;
    for one in &signed {
        if !host.verify(one).await {
            return Err(refused(Refusal::Signature));
        }
    }
    Ok(device)
}

/// A place among those of this minute, and the one that a challenge has, until it ends.
///
/// Each step has a minute of its own: whoever makes things up for one of them keeps nobody out of the others, and only who has
/// a device that the gateway sealed uses up those of assertions.
async fn admit<H: Host>(host: &H, (app, step): (&App, Step), challenge: &str, ends: Millis) -> Result<(), Error> {
    let now = host.now();
    let minute_ends = (now / MINUTE_MS + 1) * MINUTE_MS;
    let of_minute = Bound {
        counter: format!("rate/app:{}/{}/{minute_ends}", app.name, step.word()),
        add: 1,
        with: Vec::new(),
        limit: i64::try_from(app.exchanges_per_minute).unwrap_or(i64::MAX),
        expires: minute_ends,
    };
    let forgotten = ends.saturating_add(SKEW_MS);
    let digest = hex(Sha256::digest(challenge).get(..16).unwrap_or_default());
    let of_challenge = Bound {
        counter: format!("rate/app:{}/challenge-{digest}/{forgotten}", app.name),
        add: 1,
        with: Vec::new(),
        limit: 1,
        expires: forgotten,
    };
    match host.admit(&[of_minute, of_challenge]).await.map_err(store_down)? {
        Admission::Admitted(_) => Ok(()),
        Admission::Refused(sums) if sums.len() > 1 => Err(refused(Refusal::Replayed)),
        Admission::Refused(_) => Err(Error {
            retry_after: Some((minute_ends - now).div_ceil(1000)),
            ..Error::new(Kind::RateLimited, "too many devices of this app ask for tokens just now")
        }),
    }
}

/// SHA-256 of what an app says to its device: the challenge, and the user below it if the app names one.
fn client_data_hash(challenge: &str, user: Option<&str>) -> Result<[u8; 32], Error> {
    let mut said = Sha256::new().chain_update(challenge);
    if let Some(user) = user {
        let scope = Scope { user: Some(user.to_owned()), ..Scope::default() };
        Grant::new(String::new(), String::new(), 0, scope).map_err(|(_, why)| Error::field("user", why))?;
        said = said.chain_update("\n").chain_update(user);
    }
    Ok(said.finalize().into())
}

fn on<'a, T>(part: &'a Option<T>, name: &str) -> Result<&'a T, Error> {
    part.as_ref().ok_or_else(|| Error::field("app", format!("this app has no `{name}` here")))
}

fn given<'a>(text: &'a Option<String>, field: &str) -> Result<&'a str, Error> {
    text.as_deref().ok_or_else(|| Error::field(field, "missing"))
}

/// Of what an app says of itself that does not hold.
fn refused(refusal: Refusal) -> Error {
    let kind = if refusal == Refusal::Damaged { Kind::Invalid } else { Kind::Forbidden };
    Error::new(kind, refusal.to_string())
}

fn random<H: Host>(host: &H) -> Result<[u64; 2], Error> {
    let random = [host.random(), host.random()];
    // So a host says that it has none, and by chance it is so once in 2^63 times.
    if random.contains(&0) { Err(Error::internal("this host has no randomness just now")) } else { Ok(random) }
}

/// Base64 of either alphabet, padded or not.
fn decoded(text: &str) -> Option<Vec<u8>> {
    const ANY: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    ANY.decode(text.replace('-', "+").replace('_', "/")).ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Text can always be written to a String.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
