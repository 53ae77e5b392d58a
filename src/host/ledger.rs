//! Counters that live with their owners, each owner's in one place that answers one question at a time: how several of them are
//! asked for one request, and what this process has set aside with them. Not a host's own, so that a simulation can play the places.

use futures::future::join_all;

use super::{Millis, StoreDown};
use crate::limit::book::Entry;
use crate::limit::lease::{Claim, IDLE_MS, Leases};
use crate::limit::{Add, Admission, Bound, owner};
use crate::receipt::Kept;
use crate::wire::json;

/// The places, as one process reaches them.
#[expect(async_fn_in_trait, reason = "it is awaited where it is called")]
pub trait Places {
    fn now(&self) -> Millis;

    /// One that nobody had before.
    fn id(&self) -> String;

    async fn sleep(&self, ms: u64);

    /// Asks the place of `owner`, whose all `bounds` are. Whether a place that did not answer has admitted them is not known.
    async fn admit(&self, owner: &str, bounds: Vec<Bound>) -> Result<Admission, StoreDown>;

    async fn settle(&self, owner: &str, entry: &Entry) -> Result<(), StoreDown>;

    /// What this process has set aside, for all its requests.
    fn with_leases<T>(&self, of: impl FnOnce(&mut Leases) -> T) -> T;

    /// Writes a line for the operator.
    fn complain(&self, line: &str);
}

/// What one owner's place says of a request.
enum Said {
    /// It was not asked.
    Nothing,
    Admitted {
        sums: Vec<i64>,
        /// With what is to be set aside.
        more: bool,
    },
    Refused(Vec<i64>),
}

/// All of `bounds` or none; those of one owner stand beside each other. Asks nobody where leases have room.
///
/// Each owner's place admits its own bounds or none of them. What some admitted and others did not is given back: until then it may
/// turn another away, and that is the side to err on.
pub async fn admit<P: Places>(places: &P, bounds: &[Bound]) -> Result<Admission, StoreDown> {
    let now = places.now();
    let claim = |leases: &mut Leases| -> Vec<(&[Bound], Claim)> {
        let owners = bounds.chunk_by(|one, next| owner(&one.counter) == owner(&next.counter));
        owners.map(|bounds| (bounds, leases.claim(bounds, now))).collect()
    };
    let mut claims = places.with_leases(claim);
    let answers = join_all(claims.iter_mut().map(|(bounds, claim)| ask(places, bounds, claim))).await;
    let each = || claims.iter().zip(&answers);
    if each().all(|(_, said)| matches!(said, Ok(Said::Nothing | Said::Admitted { .. }))) {
        let sums = places.with_leases(|leases| {
            let granted = each().flat_map(|((bounds, claim), said)| {
                let asked = match said {
                    Ok(Said::Admitted { sums, more }) => Some((sums.as_slice(), *more)),
                    _ => None,
                };
                leases.granted(bounds, claim, asked, now)
            });
            granted.collect()
        });
        return Ok(Admission::Admitted(sums));
    }
    places.with_leases(|leases| {
        for ((bounds, claim), said) in each() {
            let asked = if let Ok(Said::Admitted { more, .. }) = said { Some(*more) } else { None };
            leases.returned(bounds, claim, asked);
        }
    });
    settle(places, Vec::new(), None).await;
    let mut sums = Vec::with_capacity(bounds.len());
    for ((own, claim), said) in claims.iter().zip(answers) {
        match said? {
            Said::Nothing => sums.extend(places.with_leases(|leases| leases.sums(own))),
            // As they stand without this request.
            Said::Admitted { sums: after, more } => {
                let asked = claim.asked(own, more);
                sums.extend(after.iter().zip(asked).map(|(sum, bound)| sum.saturating_sub(bound.add)));
            }
            Said::Refused(own) => {
                sums.extend(own);
                break;
            }
        }
    }
    Ok(Admission::Refused(sums))
}

/// For so long a request that is refused waits for what another of this process has been granted and not heard of.
const WAITS: u32 = 5;
const WAIT_MS: u64 = 10;

/// Asks with what is to be set aside, and without it where there is no room for both.
async fn ask<P: Places>(places: &P, bounds: &[Bound], claim: &mut Claim) -> Result<Said, StoreDown> {
    if claim.is_covered {
        return Ok(Said::Nothing);
    }
    let owner = bounds.first().map_or("", |bound| owner(&bound.counter));
    let mut more = claim.has_more();
    let mut said = places.admit(owner, claim.asked(bounds, more)).await;
    if more && matches!(said, Ok(Admission::Refused(_))) {
        more = false;
        said = places.admit(owner, claim.asked(bounds, more)).await;
    }
    if matches!(said, Ok(Admission::Refused(_))) {
        places.with_leases(|leases| leases.answered(bounds, claim));
        for _ in 0..WAITS {
            if !places.with_leases(|leases| leases.is_coming(bounds, places.now())) {
                break;
            }
            places.sleep(WAIT_MS).await;
        }
    }
    match said {
        Ok(Admission::Admitted(sums)) => Ok(Said::Admitted { sums, more }),
        Ok(Admission::Refused(_)) if places.with_leases(|leases| leases.takes_rest(bounds, claim)) => Ok(Said::Nothing),
        Ok(Admission::Refused(sums)) => Ok(Said::Refused(sums)),
        // What was set aside while the place answered is good without it.
        Err(_) if claim.has_room(bounds) => Ok(Said::Nothing),
        Err(down) => Err(down),
    }
}

/// Each owner's place adds what is its own, and its caller's keeps the receipt with that.
pub async fn settle<P: Places>(places: &P, adds: Vec<Add>, receipt: Option<Kept>) {
    let adds = places.with_leases(|leases| leases.settled(adds));
    enter(places, adds, receipt).await;
}

async fn enter<P: Places>(places: &P, adds: Vec<Add>, mut receipt: Option<Kept>) {
    let mut owners: Vec<(String, Vec<Add>)> = Vec::new();
    if let Some(receipt) = &receipt {
        owners.push((receipt.caller.clone(), Vec::new()));
    }
    for add in adds {
        let whose = owner(&add.counter);
        match owners.iter_mut().find(|(owner, _)| owner == whose) {
            Some((_, adds)) => adds.push(add),
            None => owners.push((whose.to_owned(), vec![add])),
        }
    }
    let now = places.now();
    let entries: Vec<(String, Entry)> = owners
        .into_iter()
        .map(|(owner, adds)| (owner, Entry { id: places.id(), adds, receipt: receipt.take(), now }))
        .collect();
    for some in entries.chunks(AT_ONCE) {
        join_all(some.iter().map(|(owner, entry)| enter_for_one(places, owner, entry))).await;
    }
}

/// Workers has six connections for a request, and lets it ask 50 times on its free plan.
const AT_ONCE: usize = 6;

/// Before each try.
const PAUSES_MS: [u64; 4] = [0, 200, 600, 1_800];

/// Tries again for a while; what cannot be counted then is logged, so that somebody can.
async fn enter_for_one<P: Places>(places: &P, owner: &str, entry: &Entry) {
    for pause in PAUSES_MS {
        if pause > 0 {
            places.sleep(pause).await;
        }
        match places.settle(owner, entry).await {
            Ok(()) => return,
            Err(StoreDown(why)) => places.complain(&format!("counters: {why}")),
        }
    }
    places.complain(&format!("counters: could not be added: {}", json::to_string(&entry.adds)));
}

/// So many leases of one request's are given back at a time; the rest waits for the next.
const IDLE_MAX: usize = 8;
/// Workers lets a request go on for 30 s after its reply.
const TIDIES: u32 = 5;

/// Gives back what is set aside for nobody, for as long as there is any or [`TIDIES`] times, unless another request does so.
pub async fn tidy<P: Places>(places: &P) {
    let until = places.now() + IDLE_MS * Millis::from(TIDIES + 1);
    if !places.with_leases(|leases| leases.begin_tidying(places.now(), until)) {
        return;
    }
    for _ in 0..TIDIES {
        places.sleep(IDLE_MS).await;
        let idle = places.with_leases(|leases| leases.idle(places.now(), IDLE_MAX));
        enter(places, idle, None).await;
        if !places.with_leases(|leases| leases.has_any()) {
            break;
        }
    }
    places.with_leases(Leases::end_tidying);
}
