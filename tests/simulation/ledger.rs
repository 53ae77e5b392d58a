//! Isolates with leases, the objects of owners, and a net between them that loses questions and answers: no bound is passed, and
//! no receipt is lost or counted twice, whatever dies when.
//!
//! A schedule is its seed, and a failure says which.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use futures::future::{Either, select};
use tollgate::host::ledger::{self, Places};
use tollgate::host::{Millis, StoreDown};
use tollgate::limit::book::{self, Book, Entry};
use tollgate::limit::lease::Leases;
use tollgate::limit::rule::{Due, Every, Limit, Per, SLICES, Span, Unit};
use tollgate::limit::ticket::{Expected, Spent, Ticket};
use tollgate::limit::{Add, Admission, Bound};
use tollgate::price::Picodollars;
use tollgate::receipt::Kept;
use tollgate::route::dice::{Dice, mixed};

use crate::clock::{Clock, Task};

/// 2026-11-30, two minutes before the month ends.
const START: Millis = 1_796_083_080_000;
const CALLERS: [&str; 3] = ["ann", "ben", "cem"];
const ISOLATES: u64 = 4;

/// One owner's object. It forgets nothing when it is moved or started anew, since every question is a transaction.
#[derive(Default)]
struct Object {
    counters: RefCell<BTreeMap<String, (i64, Option<Millis>)>>,
    settled: RefCell<BTreeSet<String>>,
    receipts: RefCell<Vec<Kept>>,
}

impl Book for Object {
    type Error = ();

    fn total(&self, counter: &str) -> Result<i64, ()> {
        Ok(self.counters.borrow().get(counter).map_or(0, |(total, _)| *total))
    }

    fn add(&self, Add { counter, add, expires }: &Add) -> Result<(), ()> {
        self.counters.borrow_mut().entry(counter.clone()).or_insert((0, *expires)).0 += add;
        Ok(())
    }

    fn sweep(&self, now: Millis) -> Result<(), ()> {
        self.counters.borrow_mut().retain(|_, (_, expires)| expires.is_none_or(|at| at >= now));
        Ok(())
    }

    fn is_new(&self, id: &str, _: Millis) -> Result<bool, ()> {
        Ok(self.settled.borrow_mut().insert(id.to_owned()))
    }

    fn keep(&self, receipt: &Kept) -> Result<(), ()> {
        self.receipts.borrow_mut().push(receipt.clone());
        Ok(())
    }
}

/// How well it goes.
#[derive(Debug, Clone, Copy)]
struct Weather {
    /// Of a thousand questions, how many the net loses, and of how many it loses the answer.
    lost: u64,
    unanswered: u64,
    /// Of a hundred isolates, how many die in the course of it.
    die: u64,
}

const CALM: Weather = Weather { lost: 0, unanswered: 0, die: 0 };
const DEADLY: Weather = Weather { lost: 0, unanswered: 0, die: 60 };
const STORM: Weather = Weather { lost: 60, unanswered: 60, die: 50 };

/// What really is, whatever anybody has counted.
#[derive(Default)]
struct Truth {
    /// Limits that are held at every instant, by name and owner: in use, and the most there ever was.
    in_use: BTreeMap<(String, String), i64>,
    /// When requests were admitted, by the same.
    admitted: BTreeMap<(String, String), Vec<Millis>>,
    /// Of those who have settled: id and cost, by caller; and of those whom nobody could settle.
    settled: BTreeMap<String, BTreeMap<String, i64>>,
    begun: BTreeMap<String, BTreeSet<String>>,
    complaints: u64,
    questions: u64,
    admissions: u64,
    refusals: u64,
}

struct World {
    seed: u64,
    clock: Clock,
    weather: Weather,
    dice: RefCell<Dice>,
    objects: RefCell<BTreeMap<String, Rc<Object>>>,
    truth: RefCell<Truth>,
    limits: Vec<Arc<Limit>>,
}

/// What an isolate holds in memory; a new one after it died.
struct Isolate {
    leases: RefCell<Leases>,
    dies: Millis,
}

struct Net<'a> {
    world: &'a World,
    isolate: &'a Isolate,
}

impl World {
    fn below(&self, bound: u64) -> u64 {
        self.dice.borrow_mut().below(bound)
    }

    fn now(&self) -> Millis {
        START + self.clock.now()
    }

    async fn passes(&self, ms: Millis) {
        self.clock.until(self.clock.now() + ms).await;
    }

    fn object(&self, owner: &str) -> Rc<Object> {
        self.objects.borrow_mut().entry(owner.to_owned()).or_default().clone()
    }

    /// The limits that count a request of `caller`: one of all, and the caller's own.
    fn dues(&self, caller: &str) -> Vec<Due> {
        let due = |limit: &Arc<Limit>| {
            let owner = if limit.per == Per::All { ":all".to_owned() } else { caller.to_owned() };
            Due { limit: limit.clone(), owner }
        };
        // Those of one owner beside each other.
        let own = self.limits.iter().filter(|limit| limit.per == Per::Caller);
        own.chain(self.limits.iter().filter(|limit| limit.per == Per::All)).map(due).collect()
    }
}

impl Net<'_> {
    /// Puts a question to an object: it may not come there, and the answer may not come back.
    async fn ask<T>(&self, owner: &str, question: impl FnOnce(&Object) -> T) -> Result<T, StoreDown> {
        let world = self.world;
        world.truth.borrow_mut().questions += 1;
        world.passes(1 + world.below(20)).await;
        let fate = world.below(1_000);
        if fate < world.weather.lost {
            return Err(StoreDown("the question was lost".to_owned()));
        }
        let answer = question(&world.object(owner));
        world.holds(owner);
        world.passes(1 + world.below(20)).await;
        if fate < world.weather.lost + world.weather.unanswered {
            return Err(StoreDown("the answer was lost".to_owned()));
        }
        Ok(answer)
    }
}

impl Places for Net<'_> {
    fn now(&self) -> Millis {
        self.world.now()
    }

    fn id(&self) -> String {
        format!("{:016x}", self.world.dice.borrow_mut().roll())
    }

    async fn sleep(&self, ms: u64) {
        self.world.passes(ms).await;
    }

    async fn admit(&self, owner: &str, bounds: Vec<Bound>) -> Result<Admission, StoreDown> {
        let now = self.now();
        let admit = |object: &Object| book::admit(object, &bounds, now);
        self.ask(owner, admit).await.map(|admission| admission.expect("it cannot fail"))
    }

    async fn settle(&self, owner: &str, entry: &Entry) -> Result<(), StoreDown> {
        self.ask(owner, |object| book::settle(object, entry)).await.map(|done| done.expect("it cannot fail"))
    }

    fn with_leases<T>(&self, of: impl FnOnce(&mut Leases) -> T) -> T {
        of(&mut self.isolate.leases.borrow_mut())
    }

    fn complain(&self, line: &str) {
        if line.contains("could not be added") {
            self.world.truth.borrow_mut().complaints += 1;
        }
    }
}

impl World {
    /// At every step of an object: its totals are the sums of its receipts.
    fn holds(&self, owner: &str) {
        let object = self.object(owner);
        let counters = object.counters.borrow();
        let spent = counters.iter().filter(|(name, _)| name.starts_with("spend/")).map(|(_, (total, _))| total);
        let receipts = object.receipts.borrow();
        let told = receipts.iter().map(|kept| kept.text.parse::<i64>().expect("a cost"));
        assert_eq!(spent.sum::<i64>(), told.sum::<i64>(), "seed {}: totals of {owner} are not its receipts", self.seed);
        let ids: BTreeSet<_> = receipts.iter().map(|kept| &kept.id).collect();
        assert_eq!(ids.len(), receipts.len(), "seed {}: a receipt of {owner} is there twice", self.seed);
        // What is given back to a counter that has ended is of no account.
        let counts = |expires: &Option<Millis>| expires.is_none_or(|at| at > self.now());
        let negative = counters.iter().find(|(_, (total, expires))| *total < 0 && counts(expires));
        assert_eq!(negative, None, "seed {}: more was given back than was taken", self.seed);
    }

    /// At every step of a request: what is under way and what was used are within each limit.
    fn uses(&self, dues: &[Due], amounts: &[i64]) {
        let mut truth = self.truth.borrow_mut();
        for (Due { limit, owner }, amount) in dues.iter().zip(amounts) {
            if matches!(limit.span, Span::Window { .. }) {
                continue;
            }
            let in_use = truth.in_use.entry((limit.name.clone(), owner.clone())).or_default();
            *in_use += amount;
            let most = i64::try_from(limit.most).expect("a limit");
            assert!(*in_use <= most, "seed {}: {} of {owner} is at {in_use} of {most}", self.seed, limit.name);
        }
    }

    /// In every window that a limit has, no more were admitted.
    fn windows_hold(&self) {
        let truth = self.truth.borrow();
        for limit in &self.limits {
            let Span::Window { every, slices } = limit.span else { continue };
            for ((_, owner), times) in truth.admitted.iter().filter(|((name, _), _)| *name == limit.name) {
                let mut times = times.clone();
                times.sort_unstable();
                for from in times.iter().map(|at| if slices > 1 { *at } else { at / every.ms() * every.ms() }) {
                    let within = times.iter().filter(|at| (from..from + every.ms()).contains(*at)).count() as u64;
                    assert!(within <= limit.most, "seed {}: {within} of {owner} from {from}", self.seed);
                }
            }
        }
    }
}

/// One request from its admission to the end of what it left to do, unless its isolate dies.
async fn request(world: &World, isolate: &Isolate, caller: &str) {
    let net = Net { world, isolate };
    let dues = world.dues(caller);
    let reserved = 1_000 + world.below(9_000);
    let expected = Expected { cost: Some(Picodollars(reserved)), ..Expected::default() };
    let Ok(ticket) = Ticket::open(caller, dues.clone(), expected, world.now()) else { return };
    let opened = world.now();
    let Ok(Admission::Admitted(sums)) = ledger::admit(&net, ticket.bounds()).await else {
        world.truth.borrow_mut().refusals += 1;
        ledger::tidy(&net).await;
        return;
    };
    assert_eq!(sums.len(), dues.len());
    let amounts: Vec<i64> = dues.iter().map(|due| due.amount(&expected).expect("a price") as i64).collect();
    world.uses(&dues, &amounts);
    let id = net.id();
    {
        let mut truth = world.truth.borrow_mut();
        truth.admissions += 1;
        truth.begun.entry(caller.to_owned()).or_default().insert(id.clone());
        for Due { limit, owner } in &dues {
            truth.admitted.entry((limit.name.clone(), owner.clone())).or_default().push(opened);
        }
    }
    let answered = Answered { world, dues: &dues, amounts: &amounts, kept: Cell::new(None) };
    world.passes(1 + world.below(20_000)).await;
    let cost = world.below(reserved + 1);
    answered.kept.set(Some(cost as i64));
    drop(answered);
    let spent = Spent { cost: Picodollars(cost), ..Spent::default() };
    let receipt = Kept { caller: caller.to_owned(), id: id.clone(), text: cost.to_string(), oldest: String::new() };
    let complaints = world.truth.borrow().complaints;
    ledger::settle(&net, ticket.close(&spent), Some(receipt)).await;
    // Another's may have been given up meanwhile; then nothing is claimed of this one.
    if world.truth.borrow().complaints == complaints {
        world.truth.borrow_mut().settled.entry(caller.to_owned()).or_default().insert(id, cost as i64);
    }
    ledger::tidy(&net).await;
}

/// What a request uses while it is under way; when it ends, only what it cost, and where it died, nothing that anybody billed.
struct Answered<'a> {
    world: &'a World,
    dues: &'a [Due],
    amounts: &'a [i64],
    kept: Cell<Option<i64>>,
}

impl Drop for Answered<'_> {
    fn drop(&mut self) {
        let kept = |(due, amount): (&Due, &i64)| match due.limit.unit {
            Unit::Cost => self.kept.get().unwrap_or(0) - amount,
            _ => -amount,
        };
        if !std::thread::panicking() {
            self.world.uses(self.dues, &self.dues.iter().zip(self.amounts).map(kept).collect::<Vec<_>>());
        }
    }
}

/// A schedule, to its end and a minute longer.
fn play(seed: u64, weather: Weather, requests: u64, every_ms: Millis) -> World {
    let mut dice = Dice::new(mixed(seed));
    let limit = |name: &str, per, unit, most, span| Arc::new(Limit { per, ..Limit::of(name, unit, most, span) });
    let tight = 1 + dice.below(40);
    let limits = vec![
        limit("cap", Per::Caller, Unit::Cost, 20_000 + dice.below(requests * 5_000), Span::Period(Every::Total)),
        limit("all", Per::All, Unit::Cost, 60_000 + dice.below(requests * 5_000), Span::Period(Every::Total)),
        limit("beside", Per::Caller, Unit::Concurrent, 1 + dice.below(30), Span::Now),
        limit("minute", Per::Caller, Unit::Requests, tight, Span::Window { every: Every::Minute, slices: 1 }),
        limit("slides", Per::All, Unit::Requests, 2 * tight, Span::Window { every: Every::Minute, slices: SLICES }),
    ];
    // Some schedules have few limits, so that the others are come upon.
    let limits = limits.into_iter().filter(|_| dice.below(3) > 0).collect();
    let length = requests * every_ms;
    let isolates: Vec<Vec<Isolate>> = (0..ISOLATES)
        .map(|_| {
            let mut lives = Vec::new();
            let mut from = 0;
            while dice.below(100) < weather.die && lives.len() < 9 {
                from += 1 + dice.below(length / 2 + 1);
                lives.push(Isolate { leases: RefCell::default(), dies: from });
            }
            lives.push(Isolate { leases: RefCell::default(), dies: Millis::MAX });
            lives
        })
        .collect();
    let world = World {
        seed,
        clock: Clock::default(),
        weather,
        dice: RefCell::new(dice),
        objects: RefCell::default(),
        truth: RefCell::default(),
        limits,
    };
    let mut at = 0;
    let arrivals: Vec<(Millis, Task<'_>)> = (0..requests)
        .map(|_| {
            at += world.below(2 * every_ms);
            let lives = &isolates[world.below(ISOLATES) as usize];
            let isolate = lives.iter().find(|isolate| isolate.dies > at).expect("the last lives for ever");
            let caller = CALLERS[world.below(3) as usize];
            let (world, from) = (&world, at);
            let task = async move {
                let work = Box::pin(request(world, isolate, caller));
                let death = Box::pin(world.clock.until(isolate.dies));
                if let Either::Right(_) = select(work, death).await {
                    assert!(isolate.dies > from, "it was alive");
                }
            };
            (at, Box::pin(task) as Task<'_>)
        })
        .collect();
    world.clock.run(arrivals.into_iter());
    world.windows_hold();
    for (caller, settled) in &world.truth.borrow().settled {
        let object = world.object(caller);
        let kept: BTreeMap<String, i64> =
            object.receipts.borrow().iter().map(|kept| (kept.id.clone(), kept.text.parse().expect("a cost"))).collect();
        for (id, cost) in settled {
            assert_eq!(kept.get(id), Some(cost), "seed {seed}: a receipt of {caller} is lost");
        }
        let begun = &world.truth.borrow().begun[caller];
        assert!(kept.keys().all(|id| begun.contains(id)), "seed {seed}: a receipt of nothing");
    }
    if weather.die == 0 && weather.unanswered == 0 && weather.lost == 0 {
        for (owner, object) in world.objects.borrow().iter() {
            let left: Vec<_> = object.counters.borrow().clone().into_iter().filter(is_held).collect();
            assert_eq!(left, [], "seed {seed}: {owner} has what nobody uses");
        }
    }
    world
}

fn is_held((name, (total, _)): &(String, (i64, Option<Millis>))) -> bool {
    name.starts_with("hold/") && *total != 0
}

/// So many schedules of each weather, more by `scripts/simulate ledger`.
fn all(seeds: std::ops::Range<u64>) {
    let (mut admissions, mut refusals, mut complaints) = (0, 0, 0);
    for seed in seeds {
        for weather in [CALM, DEADLY, STORM] {
            let world = play(seed, weather, 60, 20 + seed % 900);
            let truth = world.truth.borrow();
            admissions += truth.admissions;
            refusals += truth.refusals;
            complaints += truth.complaints;
        }
    }
    assert!(admissions > 1_000 && refusals > 1_000, "{admissions} admitted, {refusals} refused: nothing was tried");
    println!("{admissions} requests admitted, {refusals} refused, {complaints} settlements given up");
}

#[test]
fn no_bound_is_passed_and_no_receipt_lost_whatever_dies() {
    all(0..1_000);
}

/// `scripts/simulate ledger [SEED]`: a hundred thousand schedules from this seed on.
#[test]
#[ignore = "takes minutes, and prints"]
fn many_schedules() {
    let from = std::env::var("TOLLGATE_SIMULATION_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    all(from..from + 100_000);
}

/// Requests of one caller on one isolate, at these times, none of which ends: how often each asked its object, and how many were
/// admitted.
fn asked(most: u64, times: &[Millis]) -> (Vec<u64>, usize) {
    let limit = Limit { per: Per::Caller, ..Limit::of("total", Unit::Requests, most, Span::Period(Every::Total)) };
    let world = World {
        seed: 0,
        clock: Clock::default(),
        weather: CALM,
        dice: RefCell::new(Dice::new(1)),
        objects: RefCell::default(),
        truth: RefCell::default(),
        limits: vec![Arc::new(limit)],
    };
    let isolate = Isolate { leases: RefCell::default(), dies: Millis::MAX };
    let told = RefCell::new(Vec::new());
    let arrivals = times.iter().map(|at| {
        let (world, isolate, told) = (&world, &isolate, &told);
        let task = async move {
            let net = Net { world, isolate };
            let ticket = Ticket::open("ann", world.dues("ann"), Expected::default(), world.now()).expect("a place");
            let before = world.truth.borrow().questions;
            let admission = ledger::admit(&net, ticket.bounds()).await.expect("it answers");
            let hops = world.truth.borrow().questions - before;
            told.borrow_mut().push((hops, matches!(admission, Admission::Admitted(_))));
        };
        (*at, Box::pin(task) as Task<'_>)
    });
    world.clock.run(arrivals);
    let told = told.into_inner();
    let admitted = told.iter().filter(|(_, is_admitted)| *is_admitted).count();
    (told.into_iter().map(|(hops, _)| hops).collect(), admitted)
}

#[test]
fn a_hot_caller_seldom_waits_for_its_object_and_can_use_all_of_its_limit() {
    let (hops, admitted) = asked(437, &(0..1_000).map(|number| number * 100).collect::<Vec<_>>());
    assert_eq!(admitted, 437);
    // Twenty seconds at ten a second.
    let hops: u64 = hops.iter().take(200).sum();
    assert!(hops <= 20, "{hops} of 200 requests waited for the object");
    println!("{hops} of 200 requests waited for the object");
}

#[test]
fn many_at_once_use_all_of_a_limit_too() {
    for most in 1..40 {
        for before in 0..4 {
            let times: Vec<Millis> = (0..before).map(|number| number * 1_000).chain([5_000; 60]).collect();
            let (_, admitted) = asked(most, &times);
            assert_eq!(admitted as u64, most, "after {before}");
        }
    }
}
