//! What it costs to admit a request natively, on one core: its places under so many limits are worked out, asked of the store
//! in memory as the server does, and told in headers. Beside it SHA-256 of 1 KiB, in the same rounds. Prints figures and
//! judges nothing.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use sha2::{Digest, Sha256};
use tollgate::host::native::store::Store;
use tollgate::limit::Admission;
use tollgate::limit::rule::{Due, Every, Limit, Per, SLICES, Span, Unit};
use tollgate::limit::ticket::{Expected, Ticket};
use tollgate::price::Picodollars;

const GOAL_MICROS: f64 = 5.0;
const NOW: u64 = 1_795_262_400_000;
/// The best of so many rounds: the machine's other work only ever makes one slower.
const ROUNDS: u64 = 400;
const CALLS: u64 = 20;

fn main() {
    println!(
        "Microseconds to admit one request, on one core: the best of {ROUNDS} rounds (goal: under {GOAL_MICROS:.0})\n"
    );
    println!("{:<34} {:>8} {:>18}", "", "admitted", "SHA-256 of 1 KiB");
    let minute = |slices| Span::Window { every: Every::Minute, slices };
    let rows = [
        ("requests in a minute", vec![("rpm", Unit::Requests, minute(1))]),
        (
            "with a budget of the month",
            vec![("rpm", Unit::Requests, minute(1)), ("cap", Unit::Cost, Span::Period(Every::Month))],
        ),
        (
            "with tokens, sliding, and under way",
            vec![
                ("rpm", Unit::Requests, minute(1)),
                ("cap", Unit::Cost, Span::Period(Every::Month)),
                ("tpm", Unit::Tokens, minute(SLICES)),
                ("few", Unit::Concurrent, Span::Now),
            ],
        ),
    ];
    for (name, limits) in rows {
        let due: Vec<Due> = limits
            .into_iter()
            .map(|(name, unit, span)| {
                let limit = Limit { per: Per::Caller, ..Limit::of(name, unit, u64::MAX / 4, span) };
                Due { limit: Arc::new(limit), owner: "ci".to_owned() }
            })
            .collect();
        // As one that has served a thousand callers.
        let store = Store::open(None).expect("memory is there");
        for caller in 0..1_000 {
            let due = due.iter().map(|due| Due { owner: format!("c{caller}"), ..due.clone() }).collect();
            admitted(&store, "c", due, NOW);
        }
        let micros_each = micros(|call| admitted(&store, "ci", due.clone(), NOW + call));
        let text = [b'x'; 1024];
        let yardstick = micros(|_| usize::from(Sha256::digest(black_box(text))[0]));
        println!("{name:<34} {micros_each:>8.2} {yardstick:>18.2}");
    }
}

fn admitted(store: &Store, caller: &str, due: Vec<Due>, now: u64) -> usize {
    let cost = Some(Picodollars(41_000_000));
    let expected = Expected { input_tokens: 500, output_tokens: 500, cost, cost_with_own: cost };
    let ticket = Ticket::open(caller, due, expected, now).expect("a price");
    let Admission::Admitted(sums) = store.admit(ticket.bounds(), now) else { panic!("there is room") };
    ticket.headers(&sums).len()
}

fn micros(work: impl Fn(u64) -> usize) -> f64 {
    let round = |round| {
        let began = Instant::now();
        for call in 0..CALLS {
            black_box(work(round * CALLS + call));
        }
        began.elapsed().as_secs_f64() * 1e6 / CALLS as f64
    };
    (0..ROUNDS).map(round).fold(f64::MAX, f64::min)
}
