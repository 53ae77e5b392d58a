//! Prices are refreshed, and the last good ones stay.

use std::cell::RefCell;
use std::rc::Rc;

use tollgate::auth::Keyless;
use tollgate::config::{Config, Reading, Refresh};
use tollgate::host::Millis;
use tollgate::serve::current::{Current, Offered};
use tollgate::serve::prices::{self, KEY, Prices};

use crate::script::Act;
use crate::world::{START, Scripted, Task, World};

const HOUR_MS: Millis = 60 * 60_000;
const CONFIG: &str = r#"{"media":{"hosts":["http://files"]},"catalog":{"refresh_url":"http://files/prices"},
    "prices":{"openai/mine":{"input":"7","output":"8"}}}"#;
const LIST: &str = r#"{"data":[
    {"id":"openai/gpt-5","pricing":{"prompt":"0.000002","completion":"0.00002"}},
    {"id":"openai/mine","pricing":{"prompt":"0.000001","completion":"0.000001"}}]}"#;

fn list(status: u16, text: &'static str) -> crate::script::Script {
    let head = Act::Head { status, headers: vec![("content-type".to_owned(), "application/json".to_owned())] };
    [(0, head), (1, Act::Piece(text.as_bytes().into())), (0, Act::Close)].into_iter().collect()
}

fn config(prices: &Prices) -> Config {
    Config::of(&Reading::of(Some(CONFIG)), prices.overlay.as_ref(), |_| None).unwrap()
}

fn input(config: &Config, model: &str) -> u64 {
    config.models.get(model).price.unwrap().price.tokens.rates.input
}

/// One try of a world whose list is this; how it went and what is kept then.
fn renewed(world: &Rc<World>, script: crate::script::Script) -> (Result<(), String>, Prices) {
    renewed_by(world, &config(&Prices::default()).refresh.unwrap(), script)
}

fn renewed_by(world: &Rc<World>, from: &Refresh, script: crate::script::Script) -> (Result<(), String>, Prices) {
    world.targets.borrow_mut().insert("files".to_owned(), [script].into_iter().collect());
    let host = Scripted::new(world.clone());
    let went = RefCell::new(None);
    let work = async {
        let done = prices::renew(&host, from).await.map(drop);
        *went.borrow_mut() = Some((done, prices::recall(&host).await.unwrap()));
    };
    world.run(vec![Box::pin(work) as Task<'_>]);
    went.into_inner().unwrap()
}

#[test]
fn a_list_goes_before_the_table_and_the_configuration_before_the_list() {
    let world = Rc::new(World::default());
    let before = config(&Prices::default());
    let (went, prices) = renewed(&world, list(200, LIST));
    assert_eq!(went, Ok(()));
    let after = config(&prices);
    assert_eq!((input(&before, "openai/gpt-5"), input(&after, "openai/gpt-5")), (1_250_000, 2_000_000));
    assert_eq!((input(&before, "openai/mine"), input(&after, "openai/mine")), (7_000_000, 7_000_000));
    // And it is another version, though the configuration is the same.
    let mut current = Current::new(Keyless::Refused);
    for (prices, expected) in [(&Prices::default(), "v"), (&prices, "v+")] {
        assert!(matches!(current.offer(&prices.stamp("v"), || Ok(config(prices))), Offered::Taken(_)));
        assert!(current.gateway().unwrap().config.version.starts_with(expected));
    }
}

#[test]
fn what_cannot_be_had_or_read_leaves_the_last_good_prices_and_is_tried_again_in_an_hour() {
    let world = Rc::new(World::default());
    let from = config(&Prices::default()).refresh.unwrap();
    let (_, good) = renewed(&world, list(200, LIST));
    let now = START + world.passed();
    assert!(!good.is_due(&from, now + 23 * HOUR_MS) && good.is_due(&from, now + 24 * HOUR_MS));
    let silent = [(0, Act::Silence)].into_iter().collect();
    let broken = [(0, Act::Head { status: 200, headers: Vec::new() }), (0, Act::Reset)].into_iter().collect();
    let cases = [
        (list(503, ""), "503"),
        (list(200, "nonsense"), "list of prices"),
        (silent, "30000 ms"),
        (broken, "broke off"),
    ];
    for (script, why) in cases {
        let (went, kept) = renewed(&world, script);
        let error = went.unwrap_err();
        assert!(error.contains(why), "{error}");
        assert_eq!(kept.overlay, good.overlay);
        let now = START + world.passed();
        assert!(!kept.is_due(&from, now) && kept.is_due(&from, now + HOUR_MS));
    }
    world.remembered.borrow_mut().insert(KEY.to_owned(), ("garbage".into(), Millis::MAX));
    let (_, mended) = renewed(&world, list(200, LIST));
    assert_eq!(mended.overlay.map(|overlay| overlay.lines), good.overlay.map(|overlay| overlay.lines));
}

/// A list of five models that the catalogue knows at other prices, or of those that are named.
fn of(models: &[&str]) -> &'static str {
    let row = |model: &&str| format!(r#"{{"id":"{model}","pricing":{{"prompt":"0.000007","completion":"0.00007"}}}}"#);
    format!(r#"{{"data":[{}]}}"#, models.iter().map(row).collect::<Vec<_>>().join(",")).leak()
}

const FIVE: [&str; 5] =
    ["openai/gpt-5", "openai/gpt-5-mini", "openai/gpt-4o", "anthropic/claude-sonnet-4-5", "google/gemini-2.5-pro"];

#[test]
fn a_list_that_has_lost_most_of_its_models_is_taken_for_damaged_unless_it_is_meant() {
    let from = config(&Prices::default()).refresh.unwrap();
    let strangers = ["a/1", "a/2", "a/3", "a/4", "a/5"];
    let good = |world: &Rc<World>| {
        let (went, good) = renewed(world, list(200, of(&FIVE)));
        assert_eq!((went, input(&config(&good), "google/gemini-2.5-pro")), (Ok(()), 7_000_000));
        good
    };
    for (cut, why) in [(&FIVE[..2], "it has 2 models, and had 5"), (&strangers[..], "knows 0 of them, and knew 5")] {
        let world = Rc::new(World::default());
        let kept = good(&world);
        // However often.
        for _ in 0..2 {
            let (went, after) = renewed(&world, list(200, of(cut)));
            let error = went.unwrap_err();
            assert!(error.contains(why) && error.contains("refresh_shrinks"), "{error}");
            assert!(prices::failed(&error).contains(r#""event":"prices""#), "the log says it");
            assert_eq!((after.overlay, after.extent), (kept.overlay.clone(), kept.extent.clone()));
            let now = START + world.passed();
            let tried = prices::Prices { tried_at: now, ..kept.clone() };
            assert!(!tried.is_due(&from, now) && tried.is_due(&from, now + HOUR_MS), "it may be mended soon");
        }
        // Who means it says so, or asks elsewhere.
        let meant = Refresh { may_shrink: true, ..from.clone() };
        let elsewhere = Refresh { url: "http://files/prices?fewer".to_owned(), ..from.clone() };
        for by in [meant, elsewhere] {
            let kept = good(&Rc::new(World::default()));
            let world = Rc::new(World::default());
            good(&world);
            let (went, after) = renewed_by(&world, &by, list(200, of(cut)));
            assert!(went.is_ok() && after.overlay != kept.overlay, "{by:?}: {went:?}");
            assert_eq!((after.extent.priced, after.extent.url), (cut.len(), by.url));
        }
    }
    // To lose less is the way of lists, and a list of another address is no measure.
    let world = Rc::new(World::default());
    good(&world);
    assert_eq!(renewed(&world, list(200, of(&FIVE[..3]))).0, Ok(()));
    let other = Refresh { url: "http://files/others".to_owned(), ..from };
    assert!(renewed_by(&world, &other, list(503, "")).0.is_err());
    assert_eq!(renewed_by(&world, &other, list(200, of(&FIVE[..1]))).0, Ok(()), "though it failed at first");
}

#[test]
fn a_list_that_has_no_end_is_given_up() {
    let world = Rc::new(World::default());
    let head = Act::Head { status: 200, headers: Vec::new() };
    let piece = bytes::Bytes::from(vec![b' '; 1 << 20]);
    let pieces = (0..40).map(|_| (0, Act::Piece(piece.clone())));
    let script = std::iter::once((0, head)).chain(pieces).collect();
    let (went, _) = renewed(&world, script);
    assert_eq!(went, Err("the list of prices cannot be had: it is longer than 16777216 bytes".to_owned()));
    assert_eq!(world.cancelled.borrow().len(), 1);
}
