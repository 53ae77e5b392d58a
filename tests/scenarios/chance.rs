//! Scenarios made up by chance: whatever happens, what is admitted is settled once and the sums agree.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::Run;
use crate::script::Scenario;

/// A small linear congruential generator: a failing seed is the whole report.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

#[test]
fn whatever_happens_is_settled_exactly_once() {
    let (mut ends, mut outcomes) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..2_000 {
        let scenario = made_up(&mut Dice(seed));
        let run = Run::of(&Scenario::read(&scenario));
        run.check(&format!("seed {seed}:\n{scenario}{}\n", run.told()));
        for told in &run.replies {
            ends.insert(told.line["end"].as_str().unwrap().to_owned());
            let attempts = told.line["attempts"].as_array().unwrap();
            outcomes.extend(attempts.iter().map(|attempt| attempt["outcome"].as_str().unwrap().to_owned()));
        }
    }
    // Chance has been everywhere.
    assert_eq!(Vec::from_iter(ends), ["complete", "cut", "error", "hangup", "refused"]);
    let every = ["200", "400", "429", "503", "cut", "error", "hangup", "outrun", "timeout", "unreachable"];
    assert_eq!(Vec::from_iter(outcomes), every);
}

fn made_up(dice: &mut Dice) -> String {
    let targets = ["oa/m", "ob/m", "aa/m", "ab/m", "ra/m", "ga/m", "oa/free", "tollgate/echo"];
    let route: Vec<&str> = (0..1 + dice.below(4)).map(|_| dice.pick(&targets)).collect();
    let mut out = format!("route {}\n", route.join(" "));
    write!(out, "with first={} idle={}", 1 + dice.below(800), 1 + dice.below(800)).unwrap();
    if dice.one_in(2) {
        write!(out, " cap={}", dice.pick(&["0.0001", "0.05", "0.1", "5"])).unwrap();
    }
    if dice.one_in(3) {
        write!(out, " rpm={}", 1 + dice.below(5)).unwrap();
    }
    if dice.one_in(3) {
        write!(out, " settle={}", dice.below(300)).unwrap();
    }
    if dice.one_in(6) {
        write!(out, r#" caller={{"own_keys_only":true}}"#).unwrap();
    }
    if dice.one_in(4) {
        write!(out, r#" limit=all:{{"per":"caller","usd":"{}","own_keys":true}}"#, dice.pick(&["0.05", "5"])).unwrap();
    }
    if dice.one_in(4) {
        write!(out, " total={}", 1 + dice.below(3_000)).unwrap();
    }
    if dice.one_in(2) {
        let order = dice.pick(&["listed", "weighted", "cheapest", "first-byte", "least-busy", "balanced"]);
        let (attempts, retries, hedge_ms) = (1 + dice.below(6), dice.below(3), dice.below(600));
        let (rest_after, splice) = (1 + dice.below(3), dice.one_in(2));
        write!(out, r#" policy={{"order":"{order}","attempts":{attempts},"retries":{retries},"retry_ms":300,"#)
            .unwrap();
        write!(out, r#""hedge_ms":{hedge_ms},"rest_after":{rest_after},"splice":{splice}}}"#).unwrap();
    }
    out.push('\n');
    for target in ["oa", "ob", "aa", "ab", "ra", "ga"] {
        for _ in 0..1 + dice.below(3) {
            writeln!(out, "{target} {}", behaviour(dice)).unwrap();
        }
    }
    for _ in 0..1 + dice.below(6) {
        let at = dice.below(3_000);
        let dialect = dice.pick(&["openai-chat", "anthropic", "openai-responses", "cursor", "gemini", "ai-sdk"]);
        write!(out, "ask {dialect} at={at}{}", dice.pick(&["", " stream", " stream", " stream usage"])).unwrap();
        if dice.one_in(3) {
            write!(out, " hangs-up={}", at + dice.below(1_500)).unwrap();
        }
        if dice.one_in(4) {
            write!(out, " slow={}", dice.below(900)).unwrap();
        }
        if dice.one_in(3) {
            let (own, other) = (dice.pick(&["oa", "ob", "aa"]), dice.pick(&["ab", "ra", "ga"]));
            write!(out, " header=x-tollgate-provider-key:{own}=own-key-of-{own},{other}=own-key-of-{other}").unwrap();
        }
        out.push('\n');
    }
    out
}

/// Mostly a streamed answer, with a fault somewhere in half of them.
fn behaviour(dice: &mut Dice) -> String {
    let stream = ["start", "ping", "\"Hel\"", "comment", "\"lo, you\"", "stop", "usage", "done"];
    let words: &[&str] = match dice.below(8) {
        0 => &["refuses"],
        1 => &[dice.pick(&["status=503", "status=400", "status=429 header=retry-after:1"]), "failure"],
        2 => &[dice.pick(&["answer", "failure", "not-json", "nothing-known"])],
        _ => &stream,
    };
    let faulty = words.len() == stream.len() && dice.one_in(2);
    let fault = faulty.then(|| dice.below(words.len() as u64) as usize);
    let mut out = String::new();
    for (index, word) in words.iter().enumerate() {
        if dice.one_in(3) {
            write!(out, "+{} ", dice.below(600)).unwrap();
        }
        if fault == Some(index) {
            let faults = ["reset", "close", "silence", "error", r#"`data: {"a":` close"#, r"`data: nonsense\n\n`"];
            out.push_str(dice.pick(&faults));
            break;
        }
        if *word != "usage" || !dice.one_in(4) {
            write!(out, "{word} ").unwrap();
        }
    }
    out
}
