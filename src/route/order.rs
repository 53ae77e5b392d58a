//! The order in which targets are tried: a policy, over what is known of each.

use std::sync::Arc;

use super::dice::{Dice, mixed};
use super::health::{HASH_START, Measure, Standing, hash};
use crate::config::Target;
use crate::price::Picodollars;
use crate::wire::json::words;

words! {
    /// How targets are put in order.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum Order = "an order" {
        /// As they are written.
        #[default]
        Listed as "listed",
        /// By chance, each as often the first as its weight says.
        Weighted as "weighted",
        /// By what the request would cost.
        Cheapest as "cheapest",
        /// By the time to the first byte.
        FirstByte as "first-byte",
        /// By tokens a second.
        Throughput as "throughput",
        /// By how many requests of this process they are answering.
        LeastBusy as "least-busy",
        /// By chance, the cheap and the healthy more often.
        Balanced as "balanced",
    }
}

impl Order {
    /// Whether it looks at what the request may cost.
    pub fn asks_for_cost(self) -> bool {
        matches!(self, Self::Cheapest | Self::Balanced)
    }
}

/// A target that may be asked, and what is known of it now.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub target: Arc<Target>,
    pub weight: u32,
    /// Which part of that is its account's, in thousandths.
    pub share_permille: u32,
    pub standing: Standing,
    pub measure: Measure,
    /// The most that the request may cost there; `None` where no price is known.
    pub cost: Option<Picodollars>,
}

impl Candidate {
    /// Whether it is asked by the caller's own key, so that the caller pays for it.
    pub fn is_own(&self) -> bool {
        self.target.own.is_some()
    }

    /// Whether both are one target.
    pub fn is_as(&self, other: &Self) -> bool {
        self.target.key == other.target.key
    }
}

/// What keeps a conversation with the target that has its prompt in a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stick(u64);

impl Stick {
    pub fn of(text: &[u8]) -> Self {
        Self(hash(HASH_START, text))
    }
}

/// More copies would not divide more finely what people mean.
const WEIGHT_MAX: u32 = 100;

/// What of a target's weight is its account's.
fn part(candidate: &Candidate, weight: u64) -> u64 {
    weight.saturating_mul(u64::from(candidate.share_permille))
}

/// Puts the accounts of each target in an order of their own, as often the first as their share says. `candidates` of one
/// target stand beside each other.
pub fn shuffle_accounts(candidates: &mut [Candidate], dice: &mut Dice) {
    let is_same = |one: &Candidate, other: &Candidate| one.target.is_same(&other.target);
    for accounts in candidates.chunk_by_mut(is_same).filter(|accounts| accounts.len() > 1) {
        accounts.sort_by_cached_key(|candidate| wait(u64::from(candidate.share_permille), dice));
    }
}

/// Puts `candidates` in order. Those who rest or are down go last, and never out: a caller with one target wants
/// it tried.
pub fn arrange(candidates: &mut [Candidate], order: Order, stick: Option<Stick>, dice: &mut Dice) {
    let dearest = candidates.iter().filter_map(|candidate| candidate.cost).max().unwrap_or_default();
    let mut rank = |candidate: &Candidate| match order {
        Order::Listed => 0,
        Order::Weighted => wait(part(candidate, u64::from(candidate.weight)), dice),
        Order::Cheapest => candidate.cost.map_or(u64::MAX, |cost| cost.0),
        // What is not known yet has to be tried to be known.
        Order::FirstByte => candidate.measure.first_byte_ms.map_or(0, |ms| ms.saturating_add(1)),
        Order::Throughput => candidate.measure.tokens_per_second.map_or(0, |speed| u64::MAX - speed),
        Order::LeastBusy => u64::from(candidate.measure.in_flight),
        Order::Balanced => wait(part(candidate, attraction(candidate, dearest)), dice),
    };
    // As they are listed where one rank is as good as another.
    match order {
        Order::Listed => candidates.sort_by_key(|candidate| candidate.standing),
        _ => candidates.sort_by_cached_key(|candidate| (candidate.standing, rank(candidate))),
    }
    if let Some(Stick(stick)) = stick {
        keep(candidates, stick);
    }
}

/// Puts callers' own keys before the gateway's, and as they were given, in the places that both have together. One that
/// rests or is down still goes behind.
pub fn own_first(candidates: &mut [Candidate]) {
    let own = |candidate: &Candidate| candidate.target.own.as_ref().map(|_| candidate.target.account);
    let targets: Vec<Arc<Target>> = candidates
        .iter()
        .filter(|candidate| own(candidate) == Some(0))
        .map(|candidate| candidate.target.clone())
        .collect();
    for target in targets {
        let places: Vec<&mut Candidate> =
            candidates.iter_mut().filter(|candidate| candidate.target.is_same(&target)).collect();
        let mut sorted: Vec<Candidate> = places.iter().map(|place| (**place).clone()).collect();
        sorted.sort_by_key(|candidate| (candidate.standing, own(candidate).unwrap_or(usize::MAX)));
        for (place, candidate) in places.into_iter().zip(sorted) {
            *place = candidate;
        }
    }
}

/// How long chance lets one with this weight wait: whoever waits for the shortest time is the first, each as often as it
/// weighs, and so on among those that are left (Efraimidis and Spirakis, "Weighted random sampling with a reservoir",
/// 2006). One without weight waits for ever.
fn wait(weight: u64, dice: &mut Dice) -> u64 {
    if weight == 0 {
        return u64::MAX;
    }
    // Of 53 bits, above 0 and up to 1.
    let chance = ((dice.roll() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    // The bits of two numbers that are not negative are in the order of the numbers.
    (-chance.ln() / weight as f64).abs().to_bits()
}

/// How strongly a balanced order is drawn to a target: with the square of how cheap it is, and in the measure in
/// which it answers. One without a price is taken for the dearest.
fn attraction(candidate: &Candidate, dearest: Picodollars) -> u64 {
    let cost = candidate.cost.unwrap_or(dearest).0.max(1);
    // In thousandths of how much cheaper than the dearest, at most a thousand times.
    let cheaper = (u128::from(dearest.0.max(1)) * 1000 / u128::from(cost)).clamp(1000, 1_000_000);
    let success = u128::from(candidate.measure.success_permille.unwrap_or(1000).max(1));
    u64::try_from(cheaper * cheaper / 1000 * success / 1000).unwrap_or(u64::MAX)
}

/// Moves two candidates to the front, the second for when the first does not answer: by weight, always the same for a
/// stick, and others only for those whose candidate is gone (rendezvous hashing; Thaler and Ravishankar, 1996).
fn keep(candidates: &mut [Candidate], stick: u64) {
    let may = |candidate: &Candidate| candidate.standing == Standing::Up && candidate.weight > 0;
    let drawn = |candidate: &Candidate| {
        let copies = 0..u64::from(candidate.weight.min(WEIGHT_MAX));
        copies.map(|copy| mixed(mixed(stick ^ candidate.target.key.hash).wrapping_add(copy))).max()
    };
    for front in 0..2 {
        let Some(rest) = candidates.get_mut(front..) else { return };
        let up = rest.iter().enumerate().filter(|(_, candidate)| may(candidate));
        let best = up.max_by_key(|(_, candidate)| drawn(candidate)).map(|(at, _)| at);
        if let Some(head) = best.and_then(|at| rest.get_mut(..=at)) {
            head.rotate_right(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::own::OwnKey;
    use crate::config::{Credential, Provider};
    use crate::route::health::Key;

    fn candidate(name: &str, change: impl FnOnce(&mut Candidate)) -> Candidate {
        let provider = Provider::built_in(name, Vec::new());
        let mut candidate = Candidate {
            target: Arc::new(Target {
                key: Key::of(name, "m", 0),
                provider: Arc::new(provider),
                model: "m".to_owned(),
                account: 0,
                own: None,
                known: Arc::default(),
            }),
            weight: 1,
            share_permille: 1000,
            standing: Standing::Up,
            measure: Measure::default(),
            cost: None,
        };
        change(&mut candidate);
        candidate
    }

    fn arranged(mut candidates: Vec<Candidate>, order: Order, stick: Option<Stick>, seed: u64) -> String {
        arrange(&mut candidates, order, stick, &mut Dice::new(seed));
        let names: Vec<&str> = candidates.iter().map(|candidate| candidate.target.provider.name.as_str()).collect();
        names.join(" ")
    }

    #[test]
    fn each_order_says_what_it_is() {
        let candidates = || {
            vec![
                candidate("a", |a| {
                    a.cost = Some(Picodollars(30));
                    a.measure =
                        Measure { first_byte_ms: Some(900), tokens_per_second: Some(10), in_flight: 2, ..a.measure };
                }),
                candidate("b", |b| {
                    b.cost = Some(Picodollars(10));
                    b.measure =
                        Measure { first_byte_ms: Some(300), tokens_per_second: Some(90), in_flight: 3, ..b.measure };
                }),
                candidate("new", |_| {}),
            ]
        };
        let cases = [
            (Order::Listed, "a b new"),
            (Order::Cheapest, "b a new"),
            (Order::FirstByte, "new b a"),
            (Order::Throughput, "new b a"),
            (Order::LeastBusy, "new a b"),
        ];
        for (order, expected) in cases {
            assert_eq!(arranged(candidates(), order, None, 0), expected, "{order:?}");
        }
    }

    #[test]
    fn those_who_rest_or_are_down_go_last_whatever_the_order() {
        let candidates = || {
            vec![
                candidate("down", |down| down.standing = Standing::Down(1)),
                candidate("resting", |resting| resting.standing = Standing::Resting(9)),
                candidate("up", |up| up.weight = 1),
            ]
        };
        for order in [Order::Listed, Order::Weighted, Order::Cheapest, Order::FirstByte, Order::Balanced] {
            for seed in 0..20 {
                assert_eq!(arranged(candidates(), order, Some(Stick(seed)), seed), "up resting down", "{order:?}");
            }
        }
    }

    #[test]
    fn a_callers_own_key_goes_first_where_its_target_stands() {
        let provider = Arc::new(Provider::built_in("a", Vec::new()));
        let key = OwnKey { provider: "a".to_owned(), credential: Credential::Key("k".to_owned()) };
        let own = Arc::new(key);
        let of = |by: Option<usize>, standing| {
            candidate("a", |a| {
                let target = Target {
                    provider: provider.clone(),
                    model: "m".to_owned(),
                    account: by.unwrap_or(7),
                    own: by.map(|_| own.clone()),
                    known: Arc::default(),
                    key: Key::of("a", "m", 0),
                };
                (a.target, a.standing) = (Arc::new(target), standing);
            })
        };
        let told = |mut candidates: Vec<Candidate>| {
            own_first(&mut candidates);
            let name = |one: &Candidate| format!("{}{}", one.target.provider.name, one.target.account);
            candidates.iter().map(name).collect::<Vec<_>>().join(" ")
        };
        let (up, other) = (Standing::Up, || candidate("b", |_| {}));
        assert_eq!(told(vec![of(None, up), other(), of(Some(1), up), of(Some(0), up), other()]), "a0 b0 a1 a7 b0");
        let rests = Standing::Resting(9);
        assert_eq!(told(vec![other(), of(None, up), of(Some(1), up), of(Some(0), rests)]), "b0 a1 a7 a0");
        assert_eq!(told(vec![of(None, up), other()]), "a7 b0");
    }

    #[test]
    fn weights_converge() {
        let mut first = 0;
        for seed in 0..10_000 {
            let candidates =
                vec![candidate("a", |a| a.weight = 3), candidate("b", |_| {}), candidate("never", |z| z.weight = 0)];
            let order = arranged(candidates, Order::Weighted, None, seed);
            assert!(order.ends_with(" never"), "{order}");
            first += usize::from(order.starts_with("a "));
        }
        assert!((7_300..7_700).contains(&first), "{first}");
    }

    #[test]
    fn a_balanced_order_goes_by_the_square_of_the_price_and_by_health() {
        let share = |change: &dyn Fn(&mut Candidate)| {
            let firsts = (0..10_000).filter(|seed| {
                let cheap = candidate("cheap", |cheap| {
                    cheap.cost = Some(Picodollars(100));
                    change(cheap);
                });
                let dear = candidate("dear", |dear| dear.cost = Some(Picodollars(200)));
                arranged(vec![dear, cheap], Order::Balanced, None, *seed).starts_with("cheap")
            });
            firsts.count()
        };
        assert!((7_800..8_200).contains(&share(&|_| {})), "four to one");
        let failing = share(&|cheap| cheap.measure.success_permille = Some(250));
        assert!((4_700..5_300).contains(&failing), "{failing}: four to one, of a quarter");
    }

    #[test]
    fn a_stick_keeps_its_target_and_only_those_move_whose_target_is_gone() {
        let three = || vec![candidate("a", |_| {}), candidate("b", |_| {}), candidate("c", |c| c.weight = 2)];
        let first = |candidates, stick: u64| {
            arranged(candidates, Order::Weighted, Some(Stick::of(&stick.to_le_bytes())), stick.wrapping_mul(3))
                .split(' ')
                .next()
                .map(str::to_owned)
        };
        let mut kept = [0_u32; 3];
        for stick in 0..3_000 {
            let chosen = first(three(), stick).unwrap();
            kept[usize::from(chosen.as_bytes()[0] - b'a')] += 1;
            assert_eq!(first(three(), stick).unwrap(), chosen);
            let mut two = three();
            two.remove(0);
            if chosen != "a" {
                assert_eq!(first(two, stick).unwrap(), chosen, "it is still there");
            }
        }
        assert!(kept[..2].iter().all(|count| (650..850).contains(count)) && kept[2] > 1_350, "{kept:?}");
    }
}
