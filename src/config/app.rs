//! Apps on phones: as they are written, and made ready.

use std::sync::Arc;

use super::caller::{check_caller, unhex};
use super::model::dollars;
use super::provider::is_base_url;
use super::{Caller, Draft, Secrets, TOKEN_SECRET, check_name, usd};
use crate::auth::attest::apple::{self, Environment};
use crate::auth::attest::google::{self, Account, Integrity};
use crate::auth::attest::seal::Seal;
use crate::auth::mint;
use crate::auth::token::{Grant, Scope};
use crate::mistake::{Mistakes, under};
use crate::named::Named;
use crate::wire::json::{Shape, objects, written};

objects! {
    /// An app on phones, whose devices get short-lived tokens for what Apple or Google says of them.
    #[derive(Debug, Default)]
    pub struct AppDraft {
        /// Whose requests they are: all that holds for this caller holds for them, and a token only narrows it.
        pub caller: String,
        /// How long a token lives, in seconds: up to 900, which it does if not said.
        pub token_seconds: Option<u64> where seconds,
        /// As a caller's.
        pub models: Option<Vec<String>>,
        /// The most tokens that one request may be answered with.
        pub max_tokens: Option<u64>,
        /// The most that all requests of one token may cost: dollars, like `0.50`.
        pub max_cost_usd: Option<String> where dollars,
        /// Of one token.
        pub requests_per_minute: Option<u64>,
        /// So many devices are looked at in a minute, good ones and others; 600 by default.
        pub exchanges_per_minute: Option<u64> where above_zero,
        /// Apple's devices that get no tokens any more, as `device_id` has them.
        pub blocked: Vec<String> = Vec::new(),
        /// On Apple's devices, by App Attest.
        pub apple: Option<AppleDraft>,
        /// On Android, by Play Integrity.
        pub google: Option<GoogleDraft>,
    }

    #[derive(Debug, Default)]
    pub struct AppleDraft {
        /// What its identifier begins with, like `A1B2C3D4E5`.
        pub team_id: String,
        /// The rest of it, like `com.example.app`.
        pub bundle_id: String,
        pub environment: Environment = Environment::default(),
        /// The certificate that those of its devices lead to, in PEM, in place of Apple's: of an authority for tests.
        pub root: Option<String>,
    }

    #[derive(Debug, Default)]
    pub struct GoogleDraft {
        /// Like `com.example.app`.
        pub package: String,
        /// SHA-256 of the certificates that it may be signed with, in hex, with colons or without, as the Play Console shows them.
        pub certificates: Vec<String> where digests,
        /// What a device must meet, all of it; `MEETS_DEVICE_INTEGRITY` if not said.
        pub device: Option<Vec<Integrity>>,
        /// Whether it need not be one that Google Play knows.
        pub unrecognized: bool = false,
        /// Whether the user must have it from Google Play.
        pub licensed: bool = false,
        /// The oldest version that is served, by its `versionCode`.
        pub version_min: Option<u64>,
        /// Whether verdicts count that the Play Console makes for testers.
        pub tests: bool = false,
        /// The name of the secret that holds the JSON of a service account.
        pub secret: String,
        /// Of Google's servers, if it is not their own.
        pub base_url: Option<String>,
    }
}

written! {
    impl AppDraft {
        caller, token_seconds?, models?, max_tokens?, max_cost_usd?, requests_per_minute?, exchanges_per_minute?, blocked?,
        apple?, google?
    }
    impl AppleDraft { team_id, bundle_id, environment, root? }
    impl GoogleDraft {
        package, certificates, device?, unrecognized?, licensed?, version_min?, tests?, secret, base_url?
    }
}

fn seconds(number: Shape) -> Shape {
    Shape { minimum: Some(1), maximum: Some(mint::SECONDS_MAX), ..number }
}

fn above_zero(number: Shape) -> Shape {
    number.above_zero()
}

fn digests(_: Shape) -> Shape {
    Shape::list(Shape::text("^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$", &[]))
}

/// An app whose devices get tokens.
#[derive(Debug)]
pub struct App {
    pub name: String,
    pub caller: String,
    /// What a token allows, but for whom it is for.
    pub scope: Scope,
    pub token_seconds: u64,
    pub exchanges_per_minute: u64,
    pub blocked: Vec<String>,
    pub seal: Seal,
    pub apple: Option<apple::App>,
    pub google: Option<google::App>,
}

const EXCHANGES_PER_MINUTE: u64 = 600;
const GOOGLE: &str = "https://playintegrity.googleapis.com";

impl AppDraft {
    /// The names of its secrets.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.google.iter().map(|google| google.secret.as_str())
    }
}

pub(super) fn compile(
    draft: &Draft,
    callers: &[Arc<Caller>],
    token_secret: Option<&[u8; 32]>,
    secret: &Secrets<'_>,
    mistakes: &mut Mistakes,
) -> Named<App> {
    let mut apps = Named::default();
    for (name, written) in draft.apps.iter() {
        let at = under("apps", name);
        if let Err(why) = check_name(name) {
            mistakes.say_anyway(&at, &why);
        }
        check_caller(&at, &written.caller, (draft, callers), mistakes);
        if written.apple.is_none() && written.google.is_none() {
            mistakes.say_of(&at, &["apple", "google"], "needs apple or google, by which its devices are known");
        }
        let seconds = written.token_seconds.unwrap_or(mint::SECONDS_MAX);
        if seconds == 0 || seconds > mint::SECONDS_MAX {
            let most = mint::SECONDS_MAX;
            mistakes.say(&format!("{at}.token_seconds"), &format!("from 1 to {most}, like {most}"));
        }
        if written.exchanges_per_minute == Some(0) {
            mistakes.say(&format!("{at}.exchanges_per_minute"), "0 would let no device in; leave it out or say more");
        }
        let scope = scope(&at, written, mistakes);
        let apple = written.apple.as_ref().and_then(|apple| of_apple(&format!("{at}.apple"), apple, mistakes));
        let google =
            written.google.as_ref().and_then(|google| of_google(&format!("{at}.google"), google, secret, mistakes));
        let Some(token_secret) = token_secret else {
            mistakes.say_anyway(&at, &format!("needs the secret {TOKEN_SECRET}, with which its tokens are signed"));
            continue;
        };
        let app = App {
            name: name.to_owned(),
            caller: written.caller.clone(),
            scope,
            token_seconds: seconds,
            exchanges_per_minute: written.exchanges_per_minute.unwrap_or(EXCHANGES_PER_MINUTE),
            blocked: written.blocked.clone(),
            seal: Seal::new(token_secret, name),
            apple,
            google,
        };
        apps.insert(name.to_owned(), app);
    }
    apps
}

fn scope(at: &str, written: &AppDraft, mistakes: &mut Mistakes) -> Scope {
    let max_cost = written.max_cost_usd.as_deref().map(|text| {
        let most = usd(text);
        if most.is_none() {
            mistakes.say(&format!("{at}.max_cost_usd"), &format!("\"{text}\" is not an amount like \"0.50\""));
        }
        most.unwrap_or_default()
    });
    let scope = Scope {
        models: written.models.clone(),
        max_tokens: written.max_tokens,
        max_cost,
        requests_per_minute: written.requests_per_minute,
        ..Scope::default()
    };
    if let Err((field, why)) = Grant::new(String::new(), String::new(), 0, scope.clone()) {
        mistakes.say(&format!("{at}.{field}"), &why);
    }
    scope
}

fn of_apple(at: &str, written: &AppleDraft, mistakes: &mut Mistakes) -> Option<apple::App> {
    let AppleDraft { team_id, bundle_id, environment, root } = written;
    if team_id.len() != 10 || !team_id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
        mistakes
            .say(&format!("{at}.team_id"), &format!("\"{team_id}\" is not ten of A-Z and 0-9, like \"A1B2C3D4E5\""));
    }
    check_identifier(&format!("{at}.bundle_id"), bundle_id, mistakes);
    let root = apple::root(root.as_deref().unwrap_or(apple::ROOT));
    if root.is_none() {
        mistakes.say(&format!("{at}.root"), "not a certificate in PEM, of a key on P-256 or P-384");
    }
    Some(apple::App { id_sha256: apple::id_sha256(team_id, bundle_id), environment: *environment, root: root? })
}

fn of_google(at: &str, written: &GoogleDraft, secret: &Secrets<'_>, mistakes: &mut Mistakes) -> Option<google::App> {
    check_identifier(&format!("{at}.package"), &written.package, mistakes);
    if written.certificates.is_empty() {
        mistakes.say(&format!("{at}.certificates"), "empty; name the one that the app is signed with");
    }
    let mut certificates = Vec::new();
    for (index, text) in written.certificates.iter().enumerate() {
        match unhex(&text.replace(':', "")) {
            Some(digest) => certificates.push(digest),
            None => mistakes.say(&format!("{at}.certificates[{index}]"), "not a SHA-256 of 64 hexadecimal digits"),
        }
    }
    if written.device.as_ref().is_some_and(Vec::is_empty) {
        mistakes.say(&format!("{at}.device"), "empty, which would let any device in; leave it out or name one");
    }
    let base_url = written.base_url.clone().unwrap_or_else(|| GOOGLE.to_owned());
    if !is_base_url(&base_url) {
        mistakes.say(&format!("{at}.base_url"), &format!("\"{base_url}\" is not an http or https URL without a query"));
    }
    // A secret that is not there or no good makes no configuration mistaken, as with providers.
    let account = secret(&written.secret).ok_or_else(|| "it is not set".to_owned());
    let account = account.and_then(|text| Account::read(&text));
    Some(google::App {
        package: written.package.clone(),
        certificates,
        device: written.device.clone().unwrap_or_else(|| vec![Integrity::Device]),
        unrecognized: written.unrecognized,
        licensed: written.licensed,
        version_min: written.version_min.unwrap_or_default(),
        tests: written.tests,
        account: account.map_err(|why| format!("the secret {} is no service account's: {why}", written.secret)),
        base_url,
    })
}

/// As stores have them: words with dots between.
fn check_identifier(at: &str, text: &str, mistakes: &mut Mistakes) {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if text.is_empty() || !text.bytes().all(fits) {
        mistakes.say(at, &format!("\"{text}\" is not an identifier like \"com.example.app\""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::tests::agree;
    use crate::config::{Config, Reading};

    const DIGEST: &str =
        "FA:C6:17:45:DC:09:03:78:6F:B9:ED:E6:2A:96:2B:39:9F:73:48:F0:BB:6F:89:9B:83:32:66:75:91:03:3B:9C";

    fn compile(apps: &str) -> Result<Config, String> {
        let json = format!(r#"{{"callers":{{"phones":{{}}}},"apps":{apps}}}"#);
        agree(&json);
        let secret = |name: &str| (name == TOKEN_SECRET).then(|| "of thirty-two bytes at the least".to_owned());
        let config = Config::of(&Reading::of(Some(&json)), None, secret);
        config.map_err(|mistakes| mistakes.into_iter().map(|mistake| mistake.0).collect::<Vec<_>>().join("\n"))
    }

    fn with(app: &str) -> String {
        format!(r#"{{"a":{{"caller":"phones",{app}}}}}"#)
    }

    #[test]
    fn an_app_is_one_of_apples_or_googles_or_both() {
        let apple = r#""apple":{"team_id":"A1B2C3D4E5","bundle_id":"com.example.app"}"#;
        let google = format!(
            r#""google":{{"package":"com.example.app","certificates":["{DIGEST}","{}"],"secret":"ACCOUNT"}}"#,
            DIGEST.replace(':', "").to_lowercase()
        );
        let config = compile(&with(&format!("{apple},{google},\"models\":[\"small\"]"))).unwrap();
        let app = config.apps.get("a").unwrap();
        assert_eq!((app.token_seconds, app.exchanges_per_minute), (900, 600));
        assert_eq!(app.scope.models.as_deref(), Some(["small".to_owned()].as_slice()));
        let google = app.google.as_ref().unwrap();
        assert_eq!(
            (google.certificates[0], google.device.as_slice()),
            (google.certificates[1], [Integrity::Device].as_slice())
        );
        assert_eq!(google.base_url, GOOGLE);
        // What the secret holds is no matter of the configuration.
        assert_eq!(google.account.as_ref().unwrap_err(), "the secret ACCOUNT is no service account's: it is not set");
        let own = app.apple.as_ref().unwrap();
        assert_eq!(own.id_sha256, apple::id_sha256("A1B2C3D4E5", "com.example.app"));
    }

    #[test]
    fn every_mistake_names_its_place() {
        let apple = |fields: &str| with(&format!(r#""apple":{{"team_id":"A1B2C3D4E5","bundle_id":"c.a"{fields}}}"#));
        let google = |fields: &str| {
            with(&format!(r#""google":{{"package":"c.a","certificates":["{DIGEST}"],"secret":"S"{fields}}}"#))
        };
        let cases = [
            (
                r#"{"a":{"caller":"phone","apple":{"team_id":"A1B2C3D4E5","bundle_id":"c.a"}}}"#.to_owned(),
                r#"apps.a.caller: no caller "phone"; did you mean "phones"?"#,
            ),
            (with(r#""token_seconds":900"#), "apps.a: needs apple or google"),
            (apple("").replace(r#""a":{"#, r#""A":{"#), r#"apps.A: a name has"#),
            (
                apple("").replace(r#""caller""#, r#""token_seconds":901,"caller""#),
                "apps.a.token_seconds: from 1 to 900",
            ),
            (
                apple("").replace(r#""caller""#, r#""exchanges_per_minute":0,"caller""#),
                "apps.a.exchanges_per_minute: 0",
            ),
            (apple("").replace(r#""caller""#, r#""max_cost_usd":"x","caller""#), "apps.a.max_cost_usd: \"x\""),
            (apple("").replace(r#""caller""#, r#""models":[],"caller""#), "apps.a.models: empty"),
            (apple(r#","root":"x""#), "apps.a.apple.root: not a certificate"),
            (apple(r#","environment":"test""#), "apps.a.apple.environment: expected \"production\" or \"development\""),
            (apple("").replace("A1B2C3D4E5", "a1"), "apps.a.apple.team_id: \"a1\""),
            (apple("").replace("c.a", "c a"), "apps.a.apple.bundle_id: \"c a\""),
            (google("").replace("c.a", ""), "apps.a.google.package: \"\""),
            (google("").replacen("FA:C6", "", 1), "apps.a.google.certificates[0]: not a SHA-256"),
            (google("").replace(&format!("\"{DIGEST}\""), ""), "apps.a.google.certificates: empty"),
            (google(r#","device":["MEETS_NOTHING"]"#), "apps.a.google.device[0]: expected"),
            (google(r#","device":[]"#), "apps.a.google.device: empty"),
            (google(r#","base_url":"playintegrity""#), "apps.a.google.base_url: \"playintegrity\""),
        ];
        for (apps, expected) in cases {
            let mistakes = compile(&apps).unwrap_err();
            assert!(mistakes.contains(expected), "{apps}: {mistakes}");
        }
        let json = format!(r#"{{"callers":{{"phones":{{}}}},"apps":{}}}"#, apple(""));
        let mistakes = Config::of(&Reading::of(Some(&json)), None, |_| None).unwrap_err();
        assert_eq!(mistakes[0].0, "apps.a: needs the secret TOLLGATE_TOKEN_SECRET, with which its tokens are signed");
    }
}
