//! Where one place keeps all counters of an owner: what is done there in one transaction.

use super::{Add, Admission, Bound, decide};
use crate::host::Millis;
use crate::named::Named;
use crate::receipt::Kept;
use crate::wire::json::{objects, written};

/// Counters and receipts, on which a question is one transaction.
pub trait Book {
    type Error;

    /// 0 where there is no such counter.
    fn total(&self, counter: &str) -> Result<i64, Self::Error>;

    /// A counter that is new ends with `expires`; one that has ended is forgotten.
    fn add(&self, add: &Add) -> Result<(), Self::Error>;

    /// Forgets counters that have ended.
    fn sweep(&self, now: Millis) -> Result<(), Self::Error>;

    /// Remembers `id` for at least [`SETTLED_MS`]; false where it was there.
    fn is_new(&self, id: &str, now: Millis) -> Result<bool, Self::Error>;

    fn keep(&self, receipt: &Kept) -> Result<(), Self::Error>;
}

/// Longer than anybody tries again.
pub const SETTLED_MS: Millis = 600_000;

objects! {
    /// What an owner's requests came to. The same id twice is added once.
    #[derive(Debug, Clone)]
    pub struct Entry {
        pub id: String,
        pub adds: Vec<Add>,
        pub receipt: Option<Kept>,
        pub now: Millis,
    }
}

written! {
    impl Entry { id, adds, receipt, now }
}

/// All of `bounds` or none.
pub fn admit<B: Book>(book: &B, bounds: &[Bound], now: Millis) -> Result<Admission, B::Error> {
    book.sweep(now)?;
    let mut totals = Named::default();
    for name in bounds.iter().flat_map(|bound| std::iter::once(&bound.counter).chain(&bound.with)) {
        totals.insert(name.clone(), book.total(name)?);
    }
    let admission = decide(bounds, |name| totals.get(name).copied().unwrap_or(0));
    if let Admission::Admitted(_) = admission {
        for Bound { counter, add, expires, .. } in bounds {
            book.add(&Add { counter: counter.clone(), add: *add, expires: Some(*expires) })?;
        }
    }
    Ok(admission)
}

/// All of the entry, or nothing where it was there before.
pub fn settle<B: Book>(book: &B, entry: &Entry) -> Result<(), B::Error> {
    if !book.is_new(&entry.id, entry.now)? {
        return Ok(());
    }
    for add in &entry.adds {
        book.add(add)?;
    }
    entry.receipt.as_ref().map_or(Ok(()), |receipt| book.keep(receipt))
}
