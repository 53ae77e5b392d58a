//! A histogram of times or speeds, small enough to keep for every target and to add to another's.

/// Four buckets to a doubling: a percentile is at most an eighth off.
const BUCKETS_PER_OCTAVE: u32 = 4;
/// Up to 2^17: two minutes in milliseconds, or a hundred thousand tokens a second.
const OCTAVES: u32 = 17;
const BUCKETS: usize = (OCTAVES * BUCKETS_PER_OCTAVE) as usize;

/// How often each order of size was seen. Two are merged by addition, whoever kept them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sketch([u32; BUCKETS]);

impl Default for Sketch {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Sketch {
    pub(super) fn add(&mut self, value: u64, weight: u32) {
        if let Some(count) = self.0.get_mut(bucket(value)) {
            *count = count.saturating_add(weight);
        }
    }

    /// The buckets that hold something.
    pub(super) fn filled(&self) -> impl Iterator<Item = (usize, u32)> {
        self.0.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }

    /// Puts `count` into bucket `at`; `None` where there is no such bucket.
    pub(super) fn fill(&mut self, at: usize, count: u32) -> Option<()> {
        *self.0.get_mut(at)? = count;
        Some(())
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count = count.saturating_add(*more);
        }
    }

    /// Forgets: what was seen counts half as much, as many times over.
    pub(super) fn halve(&mut self, times: u32) {
        for count in &mut self.0 {
            *count = count.checked_shr(times).unwrap_or(0);
        }
    }

    /// The value that `percent` of what was seen, here and in `other`, does not pass; `None` where nothing was seen.
    pub(super) fn percentile(&self, other: Option<&Self>, percent: u32) -> Option<u64> {
        let count = |(at, count): (usize, &u32)| {
            u64::from(*count) + other.and_then(|other| other.0.get(at)).map_or(0, |more| u64::from(*more))
        };
        let counts = || self.0.iter().enumerate().map(count);
        let wanted = (counts().sum::<u64>() * u64::from(percent.min(100))).div_ceil(100).max(1);
        let mut seen = 0_u64;
        let at = counts().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(middle(at))
    }
}

fn bucket(value: u64) -> usize {
    let Some(octave) = value.checked_ilog2() else { return 0 };
    // The two bits below the highest one.
    let quarter = if octave >= 2 { (value >> (octave - 2)) & 3 } else { (value << (2 - octave)) & 3 };
    let at = u64::from(octave * BUCKETS_PER_OCTAVE) + quarter;
    usize::try_from(at).map_or(BUCKETS - 1, |at| at.min(BUCKETS - 1))
}

/// The middle of what falls into bucket `at`.
fn middle(at: usize) -> u64 {
    let at = at as u64;
    let (octave, quarter) = (at / u64::from(BUCKETS_PER_OCTAVE), at % u64::from(BUCKETS_PER_OCTAVE));
    // In eighths, so that the half of a quarter is whole.
    let eighths = (8 + 2 * quarter + 1) << octave;
    eighths / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_near_what_was_seen() {
        for value in [1_u64, 2, 3, 5, 7, 12, 100, 999, 1_000, 4_242, 60_000, 131_071] {
            let mut sketch = Sketch::default();
            sketch.add(value, 1);
            let told = sketch.percentile(None, 50).unwrap();
            assert!(told.abs_diff(value) * 8 <= value + 7, "{value} was told as {told}");
        }
    }

    #[test]
    fn a_bucket_holds_its_own_middle() {
        // Below four there are fewer numbers than buckets.
        for at in 8..BUCKETS {
            assert_eq!(bucket(middle(at)), at);
        }
    }

    #[test]
    fn percentiles_are_in_order_and_what_is_too_large_is_the_largest() {
        let mut sketch = Sketch::default();
        assert_eq!(sketch.percentile(None, 50), None);
        for value in 1..=1000 {
            sketch.add(value, 1);
        }
        let told: Vec<u64> =
            [1, 25, 50, 75, 90, 99, 100].map(|percent| sketch.percentile(None, percent).unwrap()).into();
        assert!(told.is_sorted(), "{told:?}");
        assert!((440..=560).contains(&told[2]), "{told:?}");
        sketch.add(u64::MAX, 1_000_000);
        assert_eq!(sketch.percentile(None, 50), Some(middle(BUCKETS - 1)));
        sketch.add(0, 100_000_000);
        assert_eq!(sketch.percentile(None, 50), Some(1));
    }

    #[test]
    fn two_are_one_when_added_and_halving_forgets() {
        let (mut one, mut other, mut both) = (Sketch::default(), Sketch::default(), Sketch::default());
        for value in [3, 80, 700] {
            one.add(value, 64);
            both.add(value, 64);
        }
        for value in [4, 90, 30_000] {
            other.add(value, 64);
            both.add(value, 64);
        }
        one.merge(&other);
        assert_eq!(one, both);
        one.halve(6);
        assert_eq!(one.percentile(None, 100), both.percentile(None, 100), "one in 64 is left of each");
        one.halve(40);
        assert_eq!(one.percentile(None, 100), None);
    }
}
