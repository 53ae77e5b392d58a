//! Who is told when a budget is nearly used up.

use super::limit::{check_percents, percents};
use super::refresh::network;
use super::{Draft, Secrets};
use crate::media;
use crate::mistake::Mistakes;
use crate::wire::json::{objects, written};

objects! {
    /// Nobody is told where there is no URL.
    #[derive(Debug, Default)]
    pub struct WebhookDraft {
        /// Who is told, over https or on a host that `media.hosts` lists.
        pub url: Option<String>,
        /// The name of the secret that what is told is signed with, in the way of Standard Webhooks.
        pub secret: Option<String>,
        /// Shares in percent, of budgets and quotas that have no `warn_at`; 50, 75 and 100 by default.
        pub warn_at: Option<Vec<u32>> where percents,
    }
}

written! {
    impl WebhookDraft { url?, secret?, warn_at? }
}

#[derive(Debug, Clone)]
pub struct Webhook {
    pub url: String,
    /// What is told is signed with this, if anything.
    pub secret: Option<Secret>,
    pub warn_at: Vec<u32>,
}

/// A key that nothing prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secret")
    }
}

impl Secret {
    /// As Standard Webhooks write it, `whsec_` before base64; else the bytes of the text itself.
    fn of(text: &str) -> Self {
        use base64::Engine as _;
        let decoded = text
            .strip_prefix("whsec_")
            .and_then(|encoded| base64::engine::general_purpose::STANDARD.decode(encoded).ok());
        Self(decoded.unwrap_or_else(|| text.as_bytes().to_vec()))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What Vercel's gateway tells of a budget.
const WARN_AT: [u32; 3] = [50, 75, 100];

pub(super) fn compile(
    draft: &Draft,
    media: &media::Policy,
    secret: &Secrets<'_>,
    mistakes: &mut Mistakes,
) -> Option<Webhook> {
    let WebhookDraft { url, secret: name, warn_at } = &draft.webhook;
    let shares = warn_at.clone().unwrap_or_else(|| WARN_AT.to_vec());
    check_percents("webhook.warn_at", &shares, mistakes);
    let Some(url) = url else {
        for (field, is_written) in [("secret", name.is_some()), ("warn_at", warn_at.is_some())] {
            if is_written && mistakes.is_sound("webhook.url") {
                mistakes.say(&format!("webhook.{field}"), "without url nobody is told");
            }
        }
        return None;
    };
    let key = name.as_deref().map(|name| {
        let key = secret(name);
        if key.is_none() {
            mistakes.say("webhook.secret", &format!("no secret named {name} is set"));
        }
        key
    });
    match network(url, media) {
        Ok(_) => {
            let secret = key.flatten().map(|key| Secret::of(&key));
            Some(Webhook { url: url.clone(), secret, warn_at: shares })
        }
        Err(why) => {
            if mistakes.is_sound("media.hosts") {
                let due = "it leads over https to the public internet, or to a host that media.hosts lists";
                mistakes.say("webhook.url", &format!("{why}; {due}"));
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn compile(webhook: &str) -> Result<Option<Webhook>, String> {
        let text = format!(r#"{{"media":{{"hosts":["http://127.0.0.1:9000"]}},"webhook":{webhook}}}"#);
        let secret = |name: &str| (name == "HOOK").then(|| "whsec_c2VjcmV0".to_owned());
        let config = Draft::from_json(Some(&text)).and_then(|draft| Config::compile(&draft, secret));
        config.map(|config| config.webhook).map_err(|mistakes| mistakes[0].0.clone())
    }

    #[test]
    fn budgets_are_told_of_at_half_three_quarters_and_the_end_unless_it_says_otherwise() {
        assert!(compile("{}").unwrap().is_none());
        let hook = compile(r#"{"url":"https://example.com/hook","secret":"HOOK"}"#).unwrap().unwrap();
        assert_eq!(hook.warn_at, [50, 75, 100]);
        let secret = hook.secret.unwrap();
        assert_eq!((secret.bytes(), format!("{secret:?}")), (b"secret".as_slice(), "Secret".to_owned()));
        let hook = compile(r#"{"url":"http://127.0.0.1:9000/hook","warn_at":[90]}"#).unwrap().unwrap();
        assert_eq!((hook.secret, hook.warn_at), (None, vec![90]));
    }

    #[test]
    fn what_nobody_could_be_told_by_is_a_mistake_by_its_place() {
        for (written, place) in [
            (r#"{"url":"http://example.com/hook"}"#, "webhook.url: "),
            (r#"{"url":"https://10.0.0.1/hook"}"#, "webhook.url: "),
            (r#"{"secret":"HOOK"}"#, "webhook.secret: without"),
            (r#"{"url":"https://example.com/hook","secret":"NONE"}"#, "webhook.secret: no secret"),
            (r#"{"url":"https://example.com/hook","warn_at":[0]}"#, "webhook.warn_at[0]: not a share"),
        ] {
            let mistake = compile(written).unwrap_err();
            assert!(mistake.starts_with(place), "{written}: {mistake}");
        }
    }
}
