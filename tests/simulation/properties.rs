//! What holds of every route, whatever fails and however it is configured.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tollgate::host::Millis;
use tollgate::route::dice::Dice;
use tollgate::route::health::{Caution, Key, Standing, Verdict};
use tollgate::route::watch::Shared;

use crate::DOWN_MAX;
use crate::run::{Mode, Plan, Run};
use crate::upstreams::{Fault, MINUTE, SECOND, Spell};

const ALL: [usize; 6] = [0, 1, 2, 3, 4, 5];

fn pick<T: Clone>(of: &[T], dice: &mut Dice) -> T {
    of[dice.below(of.len() as u64) as usize].clone()
}

/// Half of the targets are ill at any time, each in its own way.
fn ills(length: Millis, dice: &mut Dice) -> Vec<Spell> {
    let faults = [
        Fault::Refused,
        Fault::Status(500),
        Fault::Status(503),
        Fault::Busy { seconds: 1 },
        Fault::Silent,
        Fault::Slow(8),
        Fault::Cut,
        Fault::Unpaid,
    ];
    let spells = (0..12).map(|_| {
        let from = dice.below(length);
        let (target, fault) = (pick(&ALL, dice), pick(&faults, dice));
        Spell { target, from, until: from + dice.below(length / 2), fault, percent: 30 + dice.below(71) }
    });
    spells.collect()
}

#[test]
fn no_request_spends_more_on_attempts_than_it_may_and_none_goes_to_whom_it_may_not() {
    let (mut most, mut latest, mut again, mut beside) = (0, 0, 0, 0);
    for seed in 0..40 {
        let mut dice = Dice::new(seed);
        let attempts = 1 + dice.below(6);
        let attempts_ms = pick(&[1_000, 30_000], &mut dice);
        let attempts_ms = 1 + dice.below(attempts_ms);
        let retries = dice.below(4);
        let mut policy = json!({
            "attempts": attempts, "attempts_ms": attempts_ms, "retries": retries, "retry_ms": 1 + dice.below(2_000),
            "order": pick(&["listed", "weighted", "cheapest", "first-byte", "throughput", "least-busy", "balanced"], &mut dice),
            "rest_after": 1 + dice.below(5), "rest_ms": 1 + dice.below(30_000),
        });
        let ignored = pick(&ALL, &mut dice);
        policy["ignore"] = json!([format!("t{ignored}")]);
        match dice.below(3) {
            0 => policy["hedge_ms"] = json!(1 + dice.below(2_000)),
            1 => policy["hedge_percentile"] = json!(50 + dice.below(49)),
            _ => {}
        }
        if dice.below(3) == 0 {
            policy["sticky"] = json!("conversation");
        }
        let models = [("all", &ALL[..], json!({}))];
        let length = MINUTE;
        let spells = ills(length, &mut dice);
        let plan = Plan { seed, length, every_ms: 1_000, models: &models, spells: &spells, wrong_percent: 5 };
        let run = Run::of(&plan, &Mode { policy: policy.clone(), ..Mode::default() });
        for told in &run.told {
            let why = || format!("seed {seed}, {policy}: {told:?}");
            assert!(told.sent.len() as u64 <= attempts, "{}", why());
            assert!(told.sent.iter().all(|(at, _)| at - told.at <= attempts_ms), "{}", why());
            assert!(told.sent.iter().all(|(_, target)| *target != ignored), "{}", why());
            let mut times: BTreeMap<usize, u64> = BTreeMap::new();
            for (_, target) in &told.sent {
                *times.entry(*target).or_default() += 1;
            }
            assert!(times.values().all(|times| *times <= 1 + retries), "{}", why());
            most += usize::from(told.sent.len() as u64 == attempts);
            latest += usize::from(told.sent.iter().any(|(at, _)| at > &told.at));
            again += usize::from(times.values().any(|times| *times > 1));
            beside += usize::from(told.attempts.iter().any(|(_, outcome)| outcome == "outrun"));
        }
        assert_eq!(in_flight(&run), 0, "seed {seed}: somebody is still waited for");
    }
    // Chance has been everywhere.
    assert!(most > 20 && latest > 20 && again > 20 && beside > 20, "{most} {latest} {again} {beside}");
}

fn in_flight(run: &Run) -> u32 {
    let health = run.gateway.health.lock();
    let in_flight = |target: usize| health.measure(Key::of(&format!("t{target}"), "m", 0), u64::MAX / 2).in_flight;
    ALL.into_iter().map(in_flight).sum()
}

/// Where all targets fail, each is asked, and none twice.
#[test]
fn every_target_has_its_turn_once() {
    for order in ["listed", "weighted", "cheapest", "balanced"] {
        let mut turns = BTreeSet::new();
        for sticky in [Value::Null, json!("conversation")] {
            let spells = ALL.map(|target| {
                let fault = Fault::Status(500);
                Spell { target, from: 0, until: Millis::MAX, fault, percent: 100 }
            });
            let policy = json!({"order": order, "sticky": sticky});
            // Whatever is asked first, the other two models are asked then, and share its targets.
            let models = [
                ("all", &ALL[..], policy.clone()),
                ("some", &[1, 4, 5][..], policy.clone()),
                ("few", &[4][..], policy),
            ];
            let plan =
                Plan { seed: 5, length: MINUTE / 3, every_ms: 400, models: &models, spells: &spells, wrong_percent: 0 };
            for told in Run::of(&plan, &Mode { models: "few, some, all", ..Mode::default() }).told {
                let turn: Vec<usize> = told.sent.iter().map(|(_, target)| *target).collect();
                assert_eq!(BTreeSet::from_iter(&turn).len(), turn.len(), "{order}: {turn:?}");
                assert_eq!(turn.len(), ALL.len(), "{order}: {turn:?}");
                turns.insert(turn);
            }
        }
        assert!(turns.len() > 1, "{order}: sessions or chance tell them apart");
    }
}

/// In thousandths.
fn shares<'a>(chosen: impl Iterator<Item = Option<&'a (Millis, usize)>>) -> BTreeMap<usize, usize> {
    let (mut shares, mut all) = (BTreeMap::<usize, usize>::new(), 0);
    for (_, target) in chosen.flatten() {
        *shares.entry(*target).or_default() += 1;
        all += 1;
    }
    shares.into_iter().map(|(target, count)| (target, count * 1000 / all)).collect()
}

fn near(shares: &BTreeMap<usize, usize>, expected: &[(usize, usize)]) {
    assert_eq!(shares.len(), expected.len(), "{shares:?}");
    for (target, share) in expected {
        assert!(shares[target].abs_diff(*share) < 35, "{shares:?}, not {expected:?}");
    }
}

/// Six, three and one: among those who are left as much as among all.
#[test]
fn weights_converge_in_every_round_of_fallback() {
    let policy = json!({"order": "weighted", "weights": {"t0": 6, "t1/m": 3, "t2": 1, "t3": 0}});
    let models = [("four", &[3, 2, 1, 0][..], policy)];
    let ill = |target| Spell { target, from: 0, until: Millis::MAX, fault: Fault::Status(500), percent: 100 };
    let plan = Plan {
        seed: 11,
        length: 5 * MINUTE,
        every_ms: 100,
        models: &models,
        spells: &[ill(0), ill(1), ill(2)],
        wrong_percent: 0,
    };
    // What is learned would put the ill ones last.
    let run = Run::of(&plan, &Mode { forgets: true, ..Mode::default() });
    assert!(run.told.len() > 2_500 && run.told.iter().all(|told| told.is_complete && told.sent.len() == 4));
    near(&shares(run.told.iter().map(|told| told.sent.first())), &[(0, 600), (1, 300), (2, 100)]);
    let behind =
        |first: usize| shares(run.told.iter().filter(move |told| told.sent[0].1 == first).map(|told| told.sent.get(1)));
    near(&behind(0), &[(1, 750), (2, 250)]);
    near(&behind(1), &[(0, 857), (2, 143)]);
    near(&shares(run.told.iter().map(|told| told.sent.last())), &[(3, 1000)]);
}

#[test]
fn splits_converge() {
    let models = [("one", &[1][..], json!({})), ("two", &[2][..], json!({})), ("asked", &[0][..], json!({}))];
    let rules = json!([{"when": {"model": "*"}, "split": {"one": 80, "two": 20}}]);
    let plan = Plan { seed: 2, length: 3 * MINUTE, every_ms: 100, models: &models, spells: &[], wrong_percent: 0 };
    let run = Run::of(&plan, &Mode { rules, ..Mode::default() });
    near(&shares(run.told.iter().map(|told| told.sent.first())), &[(1, 800), (2, 200)]);
}

#[test]
fn a_conversation_moves_only_while_its_target_is_gone() {
    let models = [("sticky", &ALL[..], json!({"sticky": "conversation", "order": "weighted"}))];
    let (from, until) = (MINUTE, 3 * MINUTE);
    let spells = [Spell { target: 3, from, until, fault: Fault::Refused, percent: 100 }];
    let plan = Plan { seed: 9, length: 9 * MINUTE, every_ms: 300, models: &models, spells: &spells, wrong_percent: 0 };
    let run = Run::of(&plan, &Mode::default());
    let mut homes = BTreeMap::new();
    let mut moved = BTreeMap::new();
    for told in &run.told {
        let served = told.sent.last().expect("a target").1;
        let home = *homes.entry(told.session).or_insert(served);
        let is_ill = home == 3 && (from..until + DOWN_MAX).contains(&told.at);
        assert!(served == home || is_ill, "{told:?} lives at {home}");
        if is_ill && (from..until).contains(&told.at) {
            // To one other, where all that belongs together meets again.
            assert_eq!(*moved.entry(told.session).or_insert(served), served, "{told:?}");
        }
    }
    assert!(homes.values().collect::<BTreeSet<_>>().len() == ALL.len() && moved.len() > 3, "{homes:?}");
}

/// Attempts that end in any order, or are dropped; whatever came of them.
#[test]
fn a_target_is_tried_every_five_minutes_and_nobody_is_waited_for_in_vain() {
    let key = Key::of("openai", "gpt-5", 0);
    let mut downs = 0;
    for seed in 0..200 {
        let mut dice = Dice::new(seed);
        let health = Shared::default();
        let caution = Caution { failures: 1 + dice.below(4) as u32, rest_ms: pick(&[1, 15_000, 3_600_000], &mut dice) };
        let mut under_way = Vec::new();
        let mut now: Millis = 1_000_000_000;
        for _ in 0..300 {
            let apart = pick(&[10, 20_000, 400_000], &mut dice);
            now += dice.below(apart);
            match dice.below(5) {
                0 | 1 => under_way.push(health.watch(key, caution, now)),
                2 if !under_way.is_empty() => {
                    drop(under_way.swap_remove(dice.below(under_way.len() as u64) as usize));
                }
                _ if !under_way.is_empty() => {
                    let watch = under_way.swap_remove(dice.below(under_way.len() as u64) as usize);
                    let wait_ms = pick(&[None, Some(1), Some(Millis::MAX)], &mut dice);
                    let verdicts = [
                        Verdict::Answered,
                        Verdict::Refused,
                        Verdict::Busy { wait_ms },
                        Verdict::Unpaid,
                        Verdict::Abandoned,
                    ];
                    let verdict = if dice.below(2) == 0 { Verdict::Failed } else { pick(&verdicts, &mut dice) };
                    watch.end(verdict, now);
                }
                _ => {}
            }
            let measured = health.lock().measure(key, now).in_flight;
            assert_eq!(measured as usize, under_way.len(), "seed {seed}");
            match health.lock().standing(key, now) {
                Standing::Down(until) => {
                    downs += 1;
                    assert!(until > now && until - now <= DOWN_MAX, "seed {seed}: down for {}", until - now);
                }
                Standing::Resting(until) => assert!(until > now && until - now <= 60 * SECOND, "seed {seed}"),
                Standing::Up => {}
            }
        }
        drop(under_way);
        assert_eq!(health.lock().measure(key, now).in_flight, 0, "seed {seed}");
    }
    assert!(downs > 500, "{downs}");
}
