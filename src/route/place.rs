//! The targets of one request, in order, and why each stands where it does or is left out. Pure: a dry run is the same
//! call.

use std::fmt;
use std::sync::Arc;

use super::behind::Behind;
use super::demand::Demand;
use super::dice::Dice;
use super::health::{Health, Standing};
use super::need::Need;
use super::order::{Candidate, Order, arrange, own_first, shuffle_accounts};
use super::policy::Policy;
use super::traits::{Traits, is_within};
use super::wish::Wishes;
use crate::config::{Account, Target};
use crate::host::Millis;
use crate::price::Picodollars;

/// Why a target is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    NotAmong,
    /// By the caller's key.
    NotAllowed,
    Ignored,
    Cannot(Need),
    Window {
        tokens: u64,
        window: u64,
    },
    Region {
        has: Option<String>,
    },
    Retains {
        is_known: bool,
    },
    Trains {
        is_known: bool,
    },
    TooDear,
    NotFirst,
    /// Where only these may be used.
    NoOwnKey,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = |f: &mut fmt::Formatter<'_>, is_known: bool, known: &str, unknown: &str| {
            f.write_str(if is_known { known } else { unknown })
        };
        match self {
            Self::NotAmong => f.write_str("is not among the providers that may be asked"),
            Self::NotAllowed => f.write_str("is not among the providers that this key may ask"),
            Self::Ignored => f.write_str("is among the providers that may not be asked"),
            Self::Cannot(need) => write!(f, "does not take {}", need.name()),
            Self::Window { tokens, window } => write!(f, "has a window of {window} tokens for about {tokens}"),
            Self::Region { has: Some(region) } => write!(f, "is in {region}"),
            Self::Region { has: None } => f.write_str("is in a region that is not known"),
            Self::Retains { is_known } => unknown(f, *is_known, "keeps what it is sent", "may keep what it is sent"),
            Self::Trains { is_known } => {
                unknown(f, *is_known, "trains on what it is sent", "may train on what it is sent")
            }
            Self::TooDear => f.write_str("costs more than was wished, or an unknown amount"),
            Self::NotFirst => f.write_str("is not the first, and no other may be asked"),
            Self::NoOwnKey => f.write_str("has no key of the caller's own, and no other may be used"),
        }
    }
}

/// The targets of one model, in the order in which they are tried, and those that are left out.
#[derive(Debug, Default)]
pub struct Places {
    pub candidates: Vec<Candidate>,
    pub left_out: Vec<(Arc<Target>, Unfit)>,
}

/// What is known beside the policy when targets are put in order.
pub struct Known<'a, C> {
    pub traits: fn(&Target) -> Traits<'_>,
    /// The most that the request may cost there; `None` where no price is known.
    pub cost: C,
    /// Besides which none is asked for the caller, where there is one.
    pub providers: &'a [String],
    /// Whether only keys of the caller's own may be used.
    pub own_only: bool,
    pub health: &'a Health,
    pub now: Millis,
}

/// Puts the targets of one model in order.
pub fn place<C: Fn(&Target) -> Option<Picodollars>>(
    targets: &[Arc<Target>],
    policy: &Policy,
    order: Order,
    (wishes, behind): (&Wishes, &Behind),
    demand: &Demand,
    known: &Known<'_, C>,
    dice: &mut Dice,
) -> Places {
    let mut places = Places { candidates: Vec::with_capacity(targets.len()), ..Places::default() };
    let has_own = targets.iter().any(|target| target.own.is_some());
    let beside = if has_own { targets } else { &[] };
    for target in targets {
        let is_allowed = known.providers.is_empty() || known.providers.iter().any(|name| is_named(target, name));
        let unfit = match is_allowed {
            true if known.own_only && target.own.is_none() => Some(Unfit::NoOwnKey),
            true => unfit(target, &(known.traits)(target), policy, (wishes, behind), demand),
            false => Some(Unfit::NotAllowed),
        };
        if let Some(unfit) = unfit {
            places.left_out.push((target.clone(), unfit));
            continue;
        }
        let (standing, measure) = known.health.seen(target.key, known.now);
        places.candidates.push(Candidate {
            target: target.clone(),
            weight: policy.weight(&target.provider.name, &target.model),
            share_permille: share_permille(target, beside),
            standing,
            measure,
            cost: (known.cost)(target),
        });
    }
    shuffle_accounts(&mut places.candidates, dice);
    if wishes.order.is_empty() {
        arrange(&mut places.candidates, order, demand.stick, dice);
    } else {
        // Named ones first and as they are named; the others as the policy has it.
        arrange(&mut places.candidates, order, None, dice);
        let rank = |candidate: &Candidate| {
            wishes.order.iter().position(|name| behind.names(&candidate.target, name)).unwrap_or(usize::MAX)
        };
        places.candidates.sort_by_key(|candidate| (candidate.standing, rank(candidate)));
    }
    if !wishes.first_byte_ms.is_empty() || !wishes.tokens_per_second.is_empty() {
        places
            .candidates
            .sort_by_cached_key(|candidate| (candidate.standing, is_slower(&candidate.target, wishes, known.health)));
    }
    own_first(&mut places.candidates);
    if wishes.first_only {
        let rest = places.candidates.split_off(places.candidates.len().min(1));
        places.left_out.extend(rest.into_iter().map(|candidate| (candidate.target, Unfit::NotFirst)));
    }
    places
}

/// Whether it is known to be slower than is wished.
fn is_slower(target: &Target, wishes: &Wishes, health: &Health) -> bool {
    let late =
        |(percent, ms): &(u32, u64)| health.first_byte_within(target.key, *percent).is_some_and(|took| took > *ms);
    let slow = |(percent, speed): &(u32, u64)| {
        health.tokens_per_second_of(target.key, *percent).is_some_and(|reached| reached < *speed)
    };
    wishes.first_byte_ms.iter().any(late) || wishes.tokens_per_second.iter().any(slow)
}

/// Which part of what its provider is asked goes by its account, as chance has it: with keys of the caller's own beside the
/// gateway's, both have half, so that a target is chosen no more often for them.
fn share_permille(target: &Target, beside: &[Arc<Target>]) -> u32 {
    let own = beside.iter().filter(|other| other.own.is_some() && other.is_same(target)).count();
    let is_shared = own > 0 && beside.iter().any(|other| other.own.is_none() && other.is_same(target));
    let part = if is_shared { 500 } else { 1000 };
    if target.own.is_some() {
        return part / u32::try_from(own).unwrap_or(part).max(1);
    }
    let accounts = target.provider.accounts();
    if accounts.len() < 2 {
        return part;
    }
    let weight = |account: &Account| u64::from(account.weight);
    let all: u64 = accounts.iter().map(weight).sum();
    let own = accounts.get(target.account).map_or(1, weight);
    u32::try_from((own * u64::from(part)).checked_div(all).unwrap_or(u64::from(part))).unwrap_or(part)
}

/// A provider's name is that of all its models; OpenRouter's callers name a region behind a slash too.
pub fn is_named(target: &Target, name: &str) -> bool {
    means(name, &target.provider.name, &target.model)
}

/// Whether `name` is that of a provider or of this model of it.
pub fn means(name: &str, provider: &str, model: &str) -> bool {
    // OpenRouter's callers write some of them in capitals.
    name.eq_ignore_ascii_case(provider)
        || name.split_once('/').is_some_and(|(named, rest)| named == provider && (rest == model || rest.is_empty()))
}

fn unfit(
    target: &Target,
    traits: &Traits<'_>,
    policy: &Policy,
    (wishes, behind): (&Wishes, &Behind),
    demand: &Demand,
) -> Option<Unfit> {
    let among = |names: &[String]| names.iter().any(|name| is_named(target, name));
    let is_meant = wishes.only.is_empty() || wishes.only.iter().any(|name| behind.names(target, name));
    // What the operator writes are the names that are written here.
    if (!policy.only.is_empty() && !among(&policy.only)) || !is_meant {
        return Some(Unfit::NotAmong);
    }
    if among(&policy.ignore) || among(&wishes.ignore) {
        return Some(Unfit::Ignored);
    }
    if let Some(need) = demand.needs.first_of(traits.cannot) {
        return Some(Unfit::Cannot(need));
    }
    if let Some(window) = traits.window.filter(|window| demand.input_tokens > *window) {
        return Some(Unfit::Window { tokens: demand.input_tokens, window });
    }
    let elsewhere = |region: &String| traits.region.is_none_or(|has| !is_within(has, region));
    let is_elsewhere = (!policy.regions.is_empty() && policy.regions.iter().all(elsewhere))
        || wishes.region.as_ref().is_some_and(elsewhere);
    if is_elsewhere {
        return Some(Unfit::Region { has: traits.region.map(str::to_owned) });
    }
    if (policy.zero_retention || wishes.zero_retention) && traits.keeps_nothing != Some(true) {
        return Some(Unfit::Retains { is_known: traits.keeps_nothing.is_some() });
    }
    if (policy.no_training || wishes.no_training) && traits.never_trains != Some(true) {
        return Some(Unfit::Trains { is_known: traits.never_trains.is_some() });
    }
    let (input, output) = traits.price.map_or((None, None), |(input, output)| (Some(input), Some(output)));
    let is_dear = |most: Option<Picodollars>, price: Option<Picodollars>| {
        most.is_some_and(|most| price.is_none_or(|price| price > most))
    };
    (is_dear(wishes.max_price.0, input) || is_dear(wishes.max_price.1, output)).then_some(Unfit::TooDear)
}

/// Why a candidate stands where it does, for whoever asks.
pub fn why(candidate: &Candidate, order: Order, is_named: bool, now: Millis) -> String {
    let known =
        |value: Option<u64>, unit: &str| value.map_or_else(|| "unknown".to_owned(), |value| format!("{value} {unit}"));
    let measure = &candidate.measure;
    let place = match order {
        _ if is_named => "named by the caller".to_owned(),
        Order::Listed => "as listed".to_owned(),
        Order::Weighted => format!("by chance, weight {}", candidate.weight),
        Order::Cheapest => format!("at most {}", known(candidate.cost.map(|cost| cost.0), "picodollars")),
        Order::FirstByte => format!("first byte: {}", known(measure.first_byte_ms, "ms")),
        Order::Throughput => format!("speed: {}", known(measure.tokens_per_second, "tokens/s")),
        Order::LeastBusy => format!("{} requests under way", measure.in_flight),
        Order::Balanced => {
            let success = measure.success_permille.map(u64::from);
            format!(
                "by chance, at most {}, answers {}",
                known(candidate.cost.map(|cost| cost.0), "picodollars"),
                known(success, "in 1000")
            )
        }
    };
    match candidate.standing {
        Standing::Up => place,
        Standing::Resting(until) => {
            format!("{place}; last, for it asked to be left alone for {} ms more", until.saturating_sub(now))
        }
        Standing::Down(until) => {
            format!("{place}; last, for it failed too often: left alone for {} ms more", until.saturating_sub(now))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Provider;
    use crate::route::behind::Lists;
    use crate::route::health::{Caution, Key, Verdict};
    use crate::route::need::Needs;
    use crate::route::order::Stick;

    const NOW: Millis = 1_000_000;

    fn targets(names: &[&str]) -> Vec<Arc<Target>> {
        let target = |name: &&str| {
            let (provider, model) = name.split_once('/').unwrap();
            let provider = Provider::built_in(provider, Vec::new());
            let key = Key::of(&provider.name, model, 0);
            let (provider, model) = (Arc::new(provider), model.to_owned());
            Arc::new(Target { provider, model, account: 0, own: None, known: Arc::default(), key })
        };
        names.iter().map(target).collect()
    }

    fn traits(target: &Target) -> Traits<'_> {
        let price = |input, output| Some((Picodollars(input), Picodollars(output)));
        match target.provider.name.as_str() {
            "openai" => Traits {
                window: Some(400_000),
                keeps_nothing: Some(false),
                never_trains: Some(true),
                region: Some("us"),
                price: price(1_250_000, 10_000_000),
                ..Traits::default()
            },
            "bedrock" => Traits {
                window: Some(200_000),
                keeps_nothing: Some(true),
                never_trains: Some(true),
                region: Some("eu-west-1"),
                price: price(3_000_000, 15_000_000),
                ..Traits::default()
            },
            "groq" => Traits {
                window: Some(8_000),
                cannot: Needs::default().with(Need::Images),
                price: price(50_000, 80_000),
                ..Traits::default()
            },
            _ => Traits::default(),
        }
    }

    fn cost(target: &Target) -> Option<Picodollars> {
        let costs = [("openai", 900), ("bedrock", 2_000), ("groq", 40)];
        costs.iter().find(|(name, _)| *name == target.provider.name).map(|(_, cost)| Picodollars(*cost))
    }

    struct Case {
        providers: Vec<String>,
        policy: Policy,
        wishes: Wishes,
        demand: Demand,
    }

    /// Who is asked in which order, and who is not and why.
    fn placed(change: impl FnOnce(&mut Case), health: &Health) -> (String, String) {
        placed_of(targets(&["openai/gpt-5", "bedrock/claude", "groq/llama", "local/own"]), change, health)
    }

    fn placed_of(targets: Vec<Arc<Target>>, change: impl FnOnce(&mut Case), health: &Health) -> (String, String) {
        let (providers, policy, wishes) = Default::default();
        let mut case = Case { providers, policy, wishes, demand: Demand::default() };
        change(&mut case);
        let known = Known { traits, cost, providers: &case.providers, own_only: false, health, now: NOW };
        let order = case.wishes.sort.unwrap_or(case.policy.order);
        let behind = Behind::of(&case.wishes, targets.iter().map(Arc::as_ref), |_| false);
        let wishes = (&case.wishes, &behind);
        let places = place(&targets, &case.policy, order, wishes, &case.demand, &known, &mut Dice::new(1));
        let asked: Vec<&str> =
            places.candidates.iter().map(|candidate| candidate.target.provider.name.as_str()).collect();
        let out: Vec<String> =
            places.left_out.iter().map(|(target, unfit)| format!("{} {unfit}", target.provider.name)).collect();
        (asked.join(" "), out.join("; "))
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// A row for each wish or rule of the policy: who is asked in which order, and who is left out and why.
    #[test]
    fn targets_are_filtered_and_put_in_order() {
        type Change = fn(&mut Case);
        let rows: &[(&str, Change, &str, &str)] = &[
            ("as listed", |_| {}, "openai bedrock groq local", ""),
            ("cheapest first", |case| case.policy.order = Order::Cheapest, "groq openai bedrock local", ""),
            (
                "a wish for the order of all",
                |case| case.wishes.sort = Some(Order::Cheapest),
                "groq openai bedrock local",
                "",
            ),
            (
                "named providers first",
                |case| case.wishes.order = names(&["groq", "bedrock"]),
                "groq bedrock openai local",
                "",
            ),
            (
                "a model may be named too",
                |case| case.wishes.order = names(&["local/own", "groq/other"]),
                "local openai bedrock groq",
                "",
            ),
            (
                "only some",
                |case| case.wishes.only = names(&["groq", "local"]),
                "groq local",
                "openai is not among the providers that may be asked; bedrock is not among the providers that may be asked",
            ),
            (
                "a wish does not widen what the policy allows",
                |case| {
                    case.policy.only = names(&["openai"]);
                    case.wishes.only = names(&["openai", "groq"]);
                },
                "openai",
                "bedrock is not among the providers that may be asked; groq is not among the providers that may be asked; \
                 local is not among the providers that may be asked",
            ),
            (
                "a wish does not widen what the key allows, and neither does the policy",
                |case| {
                    case.providers = names(&["openai", "groq/llama"]);
                    case.policy.only = names(&["openai", "bedrock"]);
                    case.wishes.only = names(&["openai", "groq", "local"]);
                },
                "openai",
                "bedrock is not among the providers that this key may ask; groq is not among the providers that may be asked; \
                 local is not among the providers that this key may ask",
            ),
            (
                "all but some",
                |case| case.wishes.ignore = names(&["openai", "local"]),
                "bedrock groq",
                "openai is among the providers that may not be asked; local is among the providers that may not be asked",
            ),
            (
                "what a model cannot do",
                |case| case.demand.needs = Needs::default().with(Need::Images),
                "openai bedrock local",
                "groq does not take images",
            ),
            (
                "a window that is too small",
                |case| case.demand.input_tokens = 250_000,
                "openai local",
                "bedrock has a window of 200000 tokens for about 250000; groq has a window of 8000 tokens for about 250000",
            ),
            (
                "nothing kept: what is not known does not count as yes",
                |case| case.wishes.zero_retention = true,
                "bedrock",
                "openai keeps what it is sent; groq may keep what it is sent; local may keep what it is sent",
            ),
            (
                "no training",
                |case| case.policy.no_training = true,
                "openai bedrock",
                "groq may train on what it is sent; local may train on what it is sent",
            ),
            (
                "a region and those within it",
                |case| case.policy.regions = names(&["eu", "ch"]),
                "bedrock",
                "openai is in us; groq is in a region that is not known; local is in a region that is not known",
            ),
            (
                "a highest price",
                |case| case.wishes.max_price = (Some(Picodollars(2_000_000)), None),
                "openai groq",
                "bedrock costs more than was wished, or an unknown amount; local costs more than was wished, or an unknown amount",
            ),
            (
                "the first and no other",
                |case| {
                    case.wishes.first_only = true;
                    case.policy.order = Order::Cheapest;
                },
                "groq",
                "openai is not the first, and no other may be asked; bedrock is not the first, and no other may be asked; local is not the first, and no other may be asked",
            ),
        ];
        for (name, change, asked, left_out) in rows {
            let told = placed(change, &Health::default());
            assert_eq!((told.0.as_str(), told.1.as_str()), (*asked, *left_out), "{name}");
        }
    }

    #[test]
    fn a_name_of_nobody_here_means_the_gateways_that_can_be_told_it() {
        let placed = |change: fn(&mut Case)| {
            let mut targets = targets(&["openai/gpt-5", "hub/gpt-5", "other-hub/gpt-5"]);
            let hub = Provider { lists: Some(Lists::Vercel), ..Provider::built_in("hub", Vec::new()) };
            Arc::get_mut(&mut targets[1]).unwrap().provider = Arc::new(hub);
            placed_of(targets, change, &Health::default()).0
        };
        assert_eq!(placed(|case| case.wishes.only = names(&["together"])), "hub");
        assert_eq!(placed(|case| case.wishes.only = names(&["openai"])), "openai");
        assert_eq!(placed(|case| case.wishes.only = names(&["openai", "together"])), "openai hub");
        assert_eq!(placed(|case| case.wishes.order = names(&["other-hub", "together"])), "other-hub hub openai");
        assert_eq!(placed(|case| case.wishes.ignore = names(&["together", "openai"])), "hub other-hub");
        assert_eq!(placed(|case| case.policy.only = names(&["together"])), "", "the operator's names are ours");
        let both = |case: &mut Case| {
            case.policy.ignore = names(&["hub"]);
            case.wishes.only = names(&["together"]);
        };
        assert_eq!(placed(both), "", "a wish does not widen what the policy allows");
    }

    #[test]
    fn those_who_are_down_go_last_even_where_they_are_named_first() {
        let mut health = Health::default();
        for _ in 0..3 {
            health.begin(Key::of("openai", "gpt-5", 0), NOW);
            health.end(Key::of("openai", "gpt-5", 0), Verdict::Failed, Caution::default(), NOW);
        }
        assert_eq!(placed(|_| {}, &health).0, "bedrock groq local openai");
        assert_eq!(placed(|case| case.wishes.order = names(&["openai"]), &health).0, "bedrock groq local openai");
        assert_eq!(placed(|case| case.wishes.only = names(&["openai"]), &health).0, "openai", "it is all there is");
    }

    #[test]
    fn those_who_are_known_to_be_slower_than_wished_go_last() {
        let mut health = Health::default();
        let key = Key::of("openai", "gpt-5", 0);
        for _ in 0..3 {
            health.began_after(key, 4_000, NOW);
            health.told(key, 100, 5_000, NOW);
        }
        let first = |change: fn(&mut Wishes)| placed(|case| change(&mut case.wishes), &health).0;
        assert_eq!(first(|wishes| wishes.first_byte_ms = vec![(90, 1_000)]), "bedrock groq local openai");
        assert_eq!(first(|wishes| wishes.first_byte_ms = vec![(90, 9_000)]), "openai bedrock groq local");
        assert_eq!(first(|wishes| wishes.tokens_per_second = vec![(50, 40)]), "bedrock groq local openai");
        assert_eq!(first(|wishes| wishes.tokens_per_second = vec![(50, 10)]), "openai bedrock groq local");
    }

    #[test]
    fn a_session_keeps_its_target() {
        let first = |session: &str| {
            let change = |case: &mut Case| {
                case.demand.stick = Some(Stick::of(session.as_bytes()));
                case.policy.order = Order::Weighted;
            };
            placed(change, &Health::default()).0.split(' ').next().unwrap().to_owned()
        };
        let firsts: Vec<String> = (0..40).map(|session| first(&session.to_string())).collect();
        assert_eq!(firsts, (0..40).map(|session| first(&session.to_string())).collect::<Vec<_>>());
        for name in ["openai", "bedrock", "groq", "local"] {
            assert!(firsts.iter().any(|first| first == name), "{name} has some");
        }
    }
}
