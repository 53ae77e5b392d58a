//! Two hours of outages and recoveries over twenty targets, and what each way of routing makes of them.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tollgate::host::Millis;

use crate::run::{Mode, Plan, Run};
use crate::upstreams::{Fault, MINUTE, Spell};

/// Each model has a target that is never ill.
pub fn models() -> Vec<(&'static str, &'static [usize], Value)> {
    vec![
        ("three", &[0, 1, 2], json!({})),
        ("listed", &[3, 4, 5, 10], json!({})),
        ("cheapest", &[6, 7, 11, 12], json!({"order": "cheapest"})),
        ("quickest", &[8, 9, 13, 14], json!({"order": "first-byte"})),
        ("balanced", &[4, 6, 15, 16], json!({"order": "balanced"})),
        ("weighted", &[5, 9, 17], json!({"order": "weighted", "weights": {"t5": 3, "t9": 2}})),
        ("sticky", &[7, 8, 18, 19], json!({"sticky": "conversation"})),
    ]
}

/// The spells of two hours, in as much time as there is.
pub fn spells(length: Millis) -> Vec<Spell> {
    let spell = |target, from: u64, until: u64, fault, percent| {
        let at = |minute: u64| minute * length / 120;
        Spell { target, from: at(from), until: at(until), fault, percent }
    };
    let mut spells = vec![
        spell(0, 10, 40, Fault::Refused, 100),
        spell(0, 80, 95, Fault::Silent, 100),
        spell(3, 15, 45, Fault::Status(500), 100),
        spell(4, 20, 50, Fault::Busy { seconds: 20 }, 80),
        spell(5, 30, 50, Fault::Silent, 100),
        spell(6, 25, 60, Fault::Slow(15), 100),
        spell(7, 35, 55, Fault::Cut, 100),
        spell(8, 50, 80, Fault::Unpaid, 100),
        spell(4, 70, 90, Fault::Status(529), 50),
    ];
    // Now and then: a minute ill, a minute well.
    spells.extend((60..100).step_by(2).map(|minute| spell(9, minute, minute + 1, Fault::Status(502), 100)));
    spells
}

/// The ways of routing that are compared. Another is another row.
pub fn modes() -> Vec<Mode> {
    let by = |name, policy| Mode { name, policy, ..Mode::default() };
    vec![
        Mode { name: "without health", policy: json!({}), forgets: true, ..Mode::default() },
        by("health", json!({})),
        by("health, hedge after 2 s", json!({"hedge_ms": 2_000})),
        by("health, hedge at p95", json!({"hedge_percentile": 95})),
        by("health, splice", json!({"splice": true})),
    ]
}

/// What one way of routing came to.
#[derive(Debug, Clone, Default)]
pub struct Row {
    pub name: String,
    pub requests: usize,
    /// In percent.
    pub success: f64,
    pub median_added_ms: i64,
    pub p99_added_ms: i64,
    /// For each complete answer, in picodollars, with what upstreams read for nothing.
    pub cost: u64,
    pub attempts: f64,
}

impl Row {
    /// What was added to each request is what it took more than in `calm`, without an outage and hedging.
    pub fn of(name: &str, run: &Run, calm: &Run) -> Self {
        let added = |told: &crate::Told, calm: &crate::Told| {
            assert_eq!(told.at, calm.at, "they are the same requests");
            Some(told.first_byte_ms?.cast_signed() - calm.first_byte_ms?.cast_signed())
        };
        let mut added: Vec<i64> = run.right().zip(calm.right()).filter_map(|(told, calm)| added(told, calm)).collect();
        added.sort_unstable();
        let percentile = |percent: usize| added.get((added.len() * percent / 100).min(added.len() - 1)).copied();
        let requests = run.right().count();
        let complete = run.right().filter(|told| told.is_complete).count();
        let cost: u64 = run.right().map(|told| told.cost).sum();
        let attempts: usize = run.right().map(|told| told.attempts.len()).sum();
        Self {
            name: name.to_owned(),
            requests,
            success: 100.0 * complete as f64 / requests as f64,
            median_added_ms: percentile(50).unwrap_or_default(),
            p99_added_ms: percentile(99).unwrap_or_default(),
            cost: (cost + run.wasted) / complete as u64,
            attempts: attempts as f64 / requests as f64,
        }
    }
}

pub fn rows(seed: u64, length: Millis, every_ms: Millis) -> Vec<Row> {
    let (models, spells) = (models(), spells(length));
    let plan = Plan { seed, length, every_ms, models: &models, spells: &spells, wrong_percent: 2 };
    let calm = Run::of(&Plan { spells: &[], ..plan }, &Mode::default());
    let rows = modes().into_iter().map(|mode| Row::of(mode.name, &Run::of(&plan, &mode), &calm));
    [Row::of("no outage", &calm, &calm)].into_iter().chain(rows).collect()
}

pub fn written(rows: &[Row]) -> String {
    let mut out = format!(
        "{:<26} {:>9} {:>10} {:>16} {:>14} {:>22} {:>18}\n",
        "", "requests", "success", "added median", "added p99", "picodollars/answer", "attempts/request"
    );
    for row in rows {
        let Row { name, requests, success, median_added_ms, p99_added_ms, cost, attempts } = row;
        writeln!(
            out,
            "{name:<26} {requests:>9} {success:>8.3} % {median_added_ms:>13} ms {p99_added_ms:>11} ms {cost:>22} {attempts:>18.3}"
        )
        .expect("a string");
    }
    out
}

/// Two hours in twelve minutes, so that a test has its answer soon: outages are short, and their beginnings count more.
#[test]
fn health_and_hedging_make_outages_cheaper() {
    let rows = rows(1, 12 * MINUTE, 400);
    println!("{}", written(&rows));
    let [calm, without, health, hedged, percentile, spliced] = rows.as_slice() else { panic!("six rows") };
    assert_eq!((calm.success, calm.attempts), (100.0, 1.0));
    assert!(health.success >= without.success, "{health:?}");
    assert!(health.attempts < without.attempts, "{health:?}");
    assert!(health.p99_added_ms < without.p99_added_ms, "{health:?}");
    for hedged in [hedged, percentile] {
        assert!(hedged.p99_added_ms < health.p99_added_ms, "{hedged:?}");
    }
    assert!(health.success < 100.0, "streams break off");
    assert_eq!(spliced.success, 100.0, "and another goes on with them");
}

/// Two hours, for `scripts/simulate`.
#[test]
#[ignore = "takes minutes, and prints"]
fn two_hours() {
    let seed = std::env::var("TOLLGATE_SIMULATION_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    println!("seed {seed}, two hours of virtual time\n\n{}", written(&rows(seed, 120 * MINUTE, 200)));
}
