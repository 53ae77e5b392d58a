//! What it costs to plan a request, on one core: `route [PART]`, where PART leaves out the rows in whose name it does not
//! stand.
//!
//! 200 rules, 200 models by name and 500 targets that have all been asked before; a request of 2 KB. One call is all that
//! `serve` does for the route: the caller's wishes are read, rules followed, the name resolved, targets filtered and put
//! in order, and a plan made. Beside it SHA-256 of 1 KiB, in the same rounds. Prints figures and judges nothing.

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use sha2::{Digest, Sha256};
use tollgate::auth::Keyless;
use tollgate::auth::own::OwnKeys;
use tollgate::config::{Caller, Config, Draft};
use tollgate::dialect::{Ask, Inbound};
use tollgate::host::Headers;
use tollgate::route::demand::Asked;
use tollgate::route::dice::Dice;
use tollgate::route::health::{Caution, Verdict};
use tollgate::route::lay::{Laid, Wanted, lay};
use tollgate::route::plan::Plan;
use tollgate::route::size::Size;
use tollgate::route::wish::Wishes;
use tollgate::serve::Gateway;
use tollgate::wire::json::Fields;

const NAMES: usize = 200;
const TARGETS: usize = 500;
const PROVIDERS: usize = 50;
const GOAL_MICROS: f64 = 20.0;
const NOW: u64 = 1_795_262_400_000;
/// The best of so many rounds: the machine's other work only ever makes one slower.
/// Short, so that some are not interrupted.
const ROUNDS: u32 = 400;
const CALLS: u32 = 5;

/// Fields of a policy, in JSON.
const POLICIES: [(&str, &str); 8] = [
    ("listed", ""),
    ("weighted", r#""order":"weighted""#),
    ("cheapest", r#""order":"cheapest""#),
    ("first-byte", r#""order":"first-byte""#),
    ("throughput", r#""order":"throughput""#),
    ("least-busy", r#""order":"least-busy""#),
    ("balanced", r#""order":"balanced""#),
    ("sticky", r#""sticky":"conversation""#),
];

fn main() {
    let part = std::env::args().nth(1).unwrap_or_default();
    println!(
        "Microseconds to plan one request, on one core: the best of {ROUNDS} rounds (goal: under {GOAL_MICROS:.0})\n\
         {NAMES} rules, {NAMES} models, {TARGETS} targets\n"
    );
    println!("{:<12} {:>14} {:>14} {:>18}", "", "3 targets", "500 targets", "SHA-256 of 1 KiB");
    for (name, policy) in POLICIES.into_iter().filter(|(name, _)| name.contains(&part)) {
        let gateway = gateway(policy);
        let few = micros(|seed| planned(&gateway, "few", seed));
        let many = micros(|seed| planned(&gateway, "many", seed));
        let text = [b'x'; 1024];
        let yardstick = micros(|_| usize::from(Sha256::digest(black_box(text))[0]));
        println!("{name:<12} {few:>14.2} {many:>14.2} {yardstick:>18.2}");
    }
}

fn micros(work: impl Fn(u64) -> usize) -> f64 {
    let round = |round| {
        let began = Instant::now();
        for call in 0..CALLS {
            black_box(work(u64::from(round * CALLS + call)));
        }
        began.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
    };
    (0..ROUNDS).map(round).fold(f64::MAX, f64::min)
}

/// All that a request's route takes; how many targets it has.
fn planned(gateway: &Gateway, model: &str, seed: u64) -> usize {
    let body = BODY.as_bytes();
    let headers = Headers::from_iter([("content-type", "application/json"), ("user-agent", "bench")]);
    let body = (Fields::read(body).expect("an object"), body);
    let mut dice = Dice::new(seed);
    let wishes = Wishes::read(&body.0, &headers).expect("wishes");
    let asked = Asked::new(Inbound::OpenaiChat, Ask::Answer, &body.0, body.1);
    let size = Size::of(&asked);
    let caller = Caller { name: "ci".to_owned(), ..Caller::local() };
    let wanted = Wanted {
        caller: &caller,
        model,
        instead: None,
        headers: &headers,
        wishes: &wishes,
        own: &OwnKeys::default(),
        asked: &asked,
        size: &size,
        now: NOW,
    };
    let mut rules = Vec::new();
    let laid = lay(&gateway.config, &gateway.health, &wanted, &mut dice, &mut rules);
    let Ok(Laid { candidates, policy, .. }) = laid else { panic!("{model} has no route") };
    assert_eq!(rules.len(), 1, "one of the last rules is for it");
    let mut plan = Plan::new(candidates, policy.clone(), dice);
    assert!(plan.next(NOW).is_some(), "somebody is asked");
    plan.candidates().count()
}

const BODY: &str = concat!(
    r#"{"model":"few","messages":[{"role":"system","content":""#,
    "You answer questions about a library of several thousand books, briefly and without making anything up. ",
    "You answer questions about a library of several thousand books, briefly and without making anything up. ",
    "You answer questions about a library of several thousand books, briefly and without making anything up. ",
    "You answer questions about a library of several thousand books, briefly and without making anything up. ",
    "You answer questions about a library of several thousand books, briefly and without making anything up. ",
    "You answer questions about a library of several thousand books, briefly and without making anything up. ",
    "You answer questions about a library of several thousand books, briefly and without making anything up. ",
    "You answer questions about a library of several thousand books, briefly and without making anything up. ",
    "You answer questions about a library of several thousand books, briefly and without making anything up. ",
    r#""},{"role":"user","content":""#,
    "Which of them were printed in Leiden before 1650, and which of those are bound with something else? ",
    "Which of them were printed in Leiden before 1650, and which of those are bound with something else? ",
    "Which of them were printed in Leiden before 1650, and which of those are bound with something else? ",
    "Which of them were printed in Leiden before 1650, and which of those are bound with something else? ",
    "Which of them were printed in Leiden before 1650, and which of those are bound with something else? ",
    "Which of them were printed in Leiden before 1650, and which of those are bound with something else? ",
    "Which of them were printed in Leiden before 1650, and which of those are bound with something else? ",
    "Which of them were printed in Leiden before 1650, and which of those are bound with something else? ",
    "Which of them were printed in Leiden before 1650, and which of those are bound with something else? ",
    r#""}],"max_tokens":500}"#,
);

/// Every target has answered before, each in its own time.
fn gateway(policy: &str) -> Gateway {
    let list = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(",");
    let target = |at: usize| format!("p{}/m{at}", at % PROVIDERS);
    let providers = list(&mut (0..PROVIDERS).map(|at| {
        format!(r#""p{at}":{{"dialect":"openai-chat","base_url":"https://p{at}.example.com/v1","auth":"none"}}"#)
    }));
    let prices = list(
        &mut (0..TARGETS)
            .map(|at| format!(r#""{}":{{"input":"{}.5","output":"{}"}}"#, target(at), at * 7 % 13, at * 11 % 29 + 1)),
    );
    // All are read, and the last one applies; it leaves each name what it is.
    let rules = list(&mut (0..NAMES - 1).map(|at| match at + 2 == NAMES {
        false => format!(r#"{{"when":{{"caller":"team-{at}-*","model":"*-{at}"}},"use":"model-{}"}}"#, at % 100),
        true => r#"{"when":{"model":"few"},"use":"few"},{"when":{"model":"many"},"use":"many"}"#.to_owned(),
    }));
    let mut models = String::new();
    for at in 0..NAMES - 2 {
        write!(models, r#""model-{at}":{{"targets":["{}"]}},"#, target(at * 5 % TARGETS)).expect("a string");
    }
    let few = list(&mut (0..3).map(|at| format!("\"{}\"", target(at * 151))));
    let many = list(&mut (0..TARGETS).map(|at| format!("\"{}\"", target(at))));
    let draft = format!(
        r#"{{"policy":{{{policy}}},"rules":[{rules}],"providers":{{{providers}}},"prices":{{{prices}}},
            "models":{{{models}"few":{{"targets":[{few}]}},"many":{{"targets":[{many}]}}}}}}"#
    );
    let draft = Draft::from_json(Some(&draft)).expect("a configuration");
    let config = Config::compile(&draft, |_| None).expect("no mistake");
    let gateway = Gateway::new(config, Keyless::Refused);
    let mut health = gateway.health.lock();
    for (at, target) in gateway.config.aliases.get("many").expect("a model").targets.iter().enumerate() {
        let first_byte_ms = (at * 37 % 1000) as u64 + 100;
        health.begin(target.key, NOW - 10_000);
        health.began_after(target.key, first_byte_ms, NOW - 9_000);
        health.told(target.key, 400, first_byte_ms * 3, NOW - 8_000);
        let verdict = if at % 50 == 0 { Verdict::Failed } else { Verdict::Answered };
        health.end(target.key, verdict, Caution::default(), NOW - 8_000);
    }
    drop(health);
    gateway
}
