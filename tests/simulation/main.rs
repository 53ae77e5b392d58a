//! What becomes of requests while targets fail and recover: `serve`, on a host whose clock and upstreams are made up.
//!
//! The same seed is the same requests at the same instants, so two runs differ by what was changed between them.
//! `scripts/simulate [SEED]` plays two hours over twenty targets and prints a table.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]
#![expect(unreachable_pub, reason = "a test has no outside")]

mod clock;
mod ledger;
mod properties;
mod run;
mod shards;
mod table;
mod upstreams;

use serde_json::{Value, json};
use tollgate::host::Millis;

use run::{Mode, Plan, Run, Told};
use upstreams::{Fault, MINUTE, SECOND, Spell};

const FIRST: usize = 0;
/// The longest that a target is left alone before somebody tries it.
const DOWN_MAX: Millis = 5 * MINUTE;

fn one_of_three() -> Vec<(&'static str, &'static [usize], Value)> {
    vec![("three", &[FIRST, 1, 2], json!({}))]
}

/// Requests to three targets that are alike, of which the first is ill for some minutes, or never.
fn played(fault: Option<Fault>, minutes: Millis, after: Millis, mode: &Mode) -> Run {
    let models = one_of_three();
    let (from, until) = (BEFORE, BEFORE + minutes * MINUTE);
    let spell = |fault| Spell { target: FIRST, from, until, fault, percent: 100 };
    let spells: Vec<Spell> = fault.map(spell).into_iter().collect();
    let plan =
        Plan { seed: 7, length: until + after, every_ms: 300, models: &models, spells: &spells, wrong_percent: 5 };
    Run::of(&plan, mode)
}

fn outage(fault: Fault, minutes: Millis, after: Millis, mode: &Mode) -> Run {
    played(Some(fault), minutes, after, mode)
}

const BEFORE: Millis = MINUTE;

/// Those that say at once that they fail.
const FAULTS: [Fault; 5] =
    [Fault::Refused, Fault::Status(500), Fault::Status(503), Fault::Busy { seconds: 20 }, Fault::Unpaid];

#[test]
fn the_first_failure_costs_one_attempt() {
    for fault in FAULTS.into_iter().chain([Fault::Silent]) {
        let run = outage(fault, 1, 0, &Mode::default());
        let first = run.within(BEFORE, Millis::MAX).next().expect("a request");
        assert!(first.is_complete, "{fault:?}: {first:?}");
        assert_eq!((first.attempts.len(), first.attempts[1].0), (2, 1), "{fault:?}: {first:?}");
    }
}

/// The caller's median wait for a first byte in the outage, beside that without one; only once it is known.
#[test]
fn an_outage_of_the_first_of_three_is_hardly_noticed() {
    for mode in [Mode::default(), Mode { policy: json!({"hedge_ms": 1_500}), ..Mode::default() }] {
        let until = BEFORE + 2 * MINUTE;
        // After three who had to wait for silence to become a failure.
        let known = BEFORE + 11 * SECOND;
        let first_byte_ms = |told: &Told| told.first_byte_ms.expect("an answer").cast_signed();
        let calm: Vec<i64> = played(None, 2, 0, &mode).within(known, until).map(first_byte_ms).collect();
        for fault in FAULTS.into_iter().chain([Fault::Silent]) {
            let run = outage(fault, 2, 0, &mode);
            assert!(run.right().all(|told| told.is_complete), "{fault:?}: not all were answered");
            let mut added: Vec<i64> =
                run.within(known, until).zip(&calm).map(|(told, calm)| first_byte_ms(told) - calm).collect();
            added.sort_unstable();
            assert!(added.len() > 250 && added[added.len() / 2] < 1, "{fault:?}: {}", added[added.len() / 2]);
            let vain = run.within(known, until).filter(|told| told.sent[0].1 == FIRST).count();
            assert!(vain * 20 < added.len(), "{fault:?}: {vain} of {} asked in vain", added.len());
        }
    }
}

#[test]
fn the_first_target_gets_its_traffic_back() {
    for (fault, within) in [
        // Those who failed are tried when their rest is over, which is at its longest by then.
        (Fault::Refused, DOWN_MAX),
        (Fault::Status(500), DOWN_MAX),
        (Fault::Silent, DOWN_MAX),
        // Those who said for how long.
        (Fault::Busy { seconds: 20 }, 21 * SECOND),
        (Fault::Unpaid, 61 * SECOND),
    ] {
        let run = outage(fault, 10, DOWN_MAX + MINUTE / 2, &Mode::default());
        let over = BEFORE + 10 * MINUTE;
        // The first to try it may be a stream, and says what it found at its end.
        let back = over + within + 5 * SECOND;
        let others: Vec<&Told> =
            run.within(back, Millis::MAX).filter(|told| told.attempts != [(FIRST, "200".to_owned())]).collect();
        assert!(others.is_empty(), "{fault:?}: {:?}", others[0]);
        let before = run.within(over, back).filter(|told| told.attempts[0].0 == FIRST).count();
        assert!(before > 0, "{fault:?}: nobody tried it");
    }
}

/// Were the first one closed, others would be asked.
#[test]
fn what_a_caller_does_wrong_closes_no_target() {
    let models = one_of_three();
    let plan = Plan { seed: 3, length: 2 * MINUTE, every_ms: 100, models: &models, spells: &[], wrong_percent: 90 };
    let run = Run::of(&plan, &Mode::default());
    assert!(run.told.iter().filter(|told| told.is_wrong).count() > 900);
    for told in &run.told {
        let outcome = if told.is_wrong { "400" } else { "200" };
        assert_eq!(told.attempts, [(FIRST, outcome.to_owned())]);
    }
}

/// An account without credit is left alone for a minute at a time, and no longer however long that lasts.
#[test]
fn a_provider_out_of_credit_is_no_outage() {
    let run = outage(Fault::Unpaid, 10, 0, &Mode::default());
    let is_in = |told: &&Told| (BEFORE..BEFORE + 10 * MINUTE).contains(&told.at) && told.attempts[0].0 == FIRST;
    let tried: Vec<Millis> = run.told.iter().filter(is_in).map(|told| told.at).collect();
    let longest = tried.windows(2).map(|two| two[1] - two[0]).max().expect("it is tried");
    assert!((60 * SECOND..62 * SECOND).contains(&longest), "{longest}");
    assert!(tried.len() <= 30, "{}", tried.len());
}

/// Two runs differ by what is changed, and by nothing else.
#[test]
fn the_same_seed_is_the_same_run() {
    let told = || {
        let run = outage(Fault::Status(500), 1, 0, &Mode::default());
        run.told.iter().map(|told| (told.at, told.first_byte_ms, told.attempts.clone())).collect::<Vec<_>>()
    };
    assert_eq!(told(), told());
}
