//! Where the prices of models are refreshed from, and how often.

use super::Draft;
use crate::host::{Millis, Network};
use crate::media;
use crate::media::origin::Origin;
use crate::mistake::Mistakes;
use crate::wire::json::{Shape, objects, written};

objects! {
    /// Prices are those that came with the gateway where there is no URL.
    #[derive(Debug, Default)]
    pub struct CatalogDraft {
        /// Of a list of prices, over https or on a host that `media.hosts` lists.
        pub refresh_url: Option<String>,
        /// From one refresh to the next, in hours: from 1 to 2160, which is a quarter; 24 by default.
        pub refresh_hours: Option<u64> where hours,
        /// Whether the list is also taken where it has less than half of the models that it had before, or of those among them
        /// that the catalogue knows. Else it counts as damaged.
        pub refresh_shrinks: Option<bool>,
    }
}

written! {
    impl CatalogDraft { refresh_url?, refresh_hours?, refresh_shrinks? }
}

fn hours(number: Shape) -> Shape {
    Shape { minimum: Some(1), maximum: Some(HOURS_MAX), ..number }
}

/// A list of prices that is fetched now and then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refresh {
    pub url: String,
    pub network: Network,
    pub every_ms: Millis,
    /// Whether it may have lost most of its models.
    pub may_shrink: bool,
}

const HOURS: u64 = 24;
/// Prices of a quarter ago are none.
const HOURS_MAX: u64 = 2_160;
const HOUR_MS: Millis = 60 * 60_000;

pub(super) fn compile(draft: &Draft, media: &media::Policy, mistakes: &mut Mistakes) -> Option<Refresh> {
    let CatalogDraft { refresh_url, refresh_hours, refresh_shrinks } = &draft.catalog;
    let hours = refresh_hours.unwrap_or(HOURS);
    if hours == 0 || hours > HOURS_MAX {
        mistakes.say("catalog.refresh_hours", &format!("from 1 to {HOURS_MAX}, like {HOURS}"));
    }
    let Some(url) = refresh_url else {
        for (name, is_written) in [("hours", refresh_hours.is_some()), ("shrinks", refresh_shrinks.is_some())] {
            if is_written && mistakes.is_sound("catalog.refresh_url") {
                mistakes.say(&format!("catalog.refresh_{name}"), "without refresh_url there is nothing to refresh");
            }
        }
        return None;
    };
    match network(url, media) {
        Ok(network) => Some(Refresh {
            url: url.clone(),
            network,
            every_ms: hours.saturating_mul(HOUR_MS),
            may_shrink: refresh_shrinks.unwrap_or(false),
        }),
        Err(why) => {
            if mistakes.is_sound("media.hosts") {
                let due = "it leads over https to the public internet, or to a host that media.hosts lists";
                mistakes.say("catalog.refresh_url", &format!("{why}; {due}"));
            }
            None
        }
    }
}

/// As files are fetched that callers name, whatever of those is fetched.
pub(super) fn network(url: &str, media: &media::Policy) -> Result<Network, &'static str> {
    let origin = Origin::of(url)?;
    if media.hosts.iter().any(|listed| listed.covers(&origin)) {
        return Ok(Network::Any);
    }
    origin.must_be_public().map(|()| Network::Public)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn compile(catalog: &str) -> Result<Option<Refresh>, String> {
        let text = format!(r#"{{"media":{{"hosts":["http://127.0.0.1:9000"]}},"catalog":{catalog}}}"#);
        let config = Draft::from_json(Some(&text)).and_then(|draft| Config::compile(&draft, |_| None));
        config.map(|config| config.refresh).map_err(|mistakes| mistakes[0].0.clone())
    }

    #[test]
    fn a_list_is_refreshed_daily_from_the_public_internet_or_a_host_that_is_listed() {
        let refresh = |url: &str, network, hours| {
            Some(Refresh { url: url.to_owned(), network, every_ms: hours * HOUR_MS, may_shrink: hours == 1 })
        };
        let public = "https://example.com/prices.json";
        assert_eq!(compile("{}"), Ok(None));
        assert_eq!(compile(&format!(r#"{{"refresh_url":"{public}"}}"#)), Ok(refresh(public, Network::Public, 24)));
        let listed = "http://127.0.0.1:9000/prices.json";
        let written = format!(r#"{{"refresh_url":"{listed}","refresh_hours":1,"refresh_shrinks":true}}"#);
        assert_eq!(compile(&written), Ok(refresh(listed, Network::Any, 1)));
    }

    #[test]
    fn what_cannot_be_fetched_is_a_mistake_by_its_place() {
        for (written, place) in [
            (r#"{"refresh_url":"http://example.com/prices.json"}"#, "catalog.refresh_url: "),
            (r#"{"refresh_url":"https://10.0.0.1/prices.json"}"#, "catalog.refresh_url: "),
            (r#"{"refresh_url":"prices.json"}"#, "catalog.refresh_url: "),
            (r#"{"refresh_url":"https://example.com/p","refresh_hours":0}"#, "catalog.refresh_hours: from 1"),
            (r#"{"refresh_hours":5}"#, "catalog.refresh_hours: without"),
            (r#"{"refresh_shrinks":true}"#, "catalog.refresh_shrinks: without"),
        ] {
            let mistake = compile(written).unwrap_err();
            assert!(mistake.starts_with(place), "{written}: {mistake}");
        }
    }
}
