//! Chance from one number that the host drew: the same number, the same choices.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// Below `bound`; 0 where that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The upper half of the product: no division, and a bias far below what anyone could count.
        let product = u128::from(self.roll()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or_default()
    }

    /// The place of one of `weights`, each as likely as it weighs; `None` where nothing does.
    pub fn weighed(&mut self, weights: impl Iterator<Item = u64> + Clone) -> Option<usize> {
        let total = weights.clone().fold(0_u64, u64::saturating_add);
        let mut at = self.below(total);
        weights.into_iter().position(|weight| match at.checked_sub(weight) {
            Some(rest) => {
                at = rest;
                false
            }
            None => true,
        })
    }
}

/// Every bit of `number` changes half of all bits.
pub fn mixed(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rolls_are_those_of_the_published_algorithm() {
        // The first three of seed 1234567, as in the reference implementation's test vector.
        let mut dice = Dice::new(1_234_567);
        let rolls = [dice.roll(), dice.roll(), dice.roll()];
        assert_eq!(rolls, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn each_is_as_likely_as_it_weighs() {
        let mut dice = Dice::new(7);
        let weights = [3, 0, 1];
        let mut counts = [0; 3];
        for _ in 0..40_000 {
            counts[dice.weighed(weights.into_iter()).unwrap()] += 1;
        }
        assert!((29_500..30_500).contains(&counts[0]) && counts[1] == 0, "{counts:?}");
        assert_eq!(dice.weighed([0, 0].into_iter()), None);
        assert_eq!(dice.weighed([].into_iter()), None);
        assert_eq!(dice.weighed([u64::MAX, u64::MAX].into_iter()), Some(0), "a sum too large is the largest there is");
    }
}
