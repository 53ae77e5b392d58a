//! Usage × price → cost, in integers.

use std::fmt;

use crate::chat::Usage;
use crate::wire::json::Write;

/// 10⁻¹² USD. A dollar per million tokens is a million picodollars per token, so every published price is whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Picodollars(pub u64);

/// Picodollars per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    pub input: u64,
    pub cached_input: u64,
    pub cache_write: u64,
    pub output: u64,
}

/// Cost of one answer.
///
/// Cached and cache-write tokens count at their own prices and are not also counted as input. Saturates instead
/// of overflowing.
pub fn cost(usage: &Usage, price: &Price) -> Picodollars {
    let special = usage.cached_input.saturating_add(usage.cache_write);
    let plain = usage.input.saturating_sub(special);
    let terms = [
        (plain, price.input),
        (usage.cached_input, price.cached_input),
        (usage.cache_write, price.cache_write),
        (usage.output, price.output),
    ];
    Picodollars(terms.iter().fold(0, |sum: u64, (tokens, price)| sum.saturating_add(tokens.saturating_mul(*price))))
}

/// The most that a request can cost whose prompt has at most `input` tokens and whose answer at most `output`.
pub fn worst(input: u64, output: u64, price: &Price) -> Picodollars {
    let dearest = price.input.max(price.cached_input).max(price.cache_write);
    Picodollars(input.saturating_mul(dearest).saturating_add(output.saturating_mul(price.output)))
}

impl Picodollars {
    /// For counters; a sum beyond nine million dollars stays there.
    pub fn as_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// A counter's value; below zero is nothing.
    pub fn from_i64(value: i64) -> Self {
        Self(u64::try_from(value).unwrap_or(0))
    }

    /// Reads `12.5` as dollars, times `scale` picodollars: 10¹² for an amount, 10⁶ for a price per million tokens.
    pub fn parse(dollars: &str, scale: u64) -> Option<Self> {
        let (whole, fraction) = dollars.split_once('.').unwrap_or((dollars, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.len() > 12 {
            return None;
        }
        let digits = |text: &str| {
            if text.is_empty() {
                Some(0)
            } else {
                text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok())?
            }
        };
        let unit = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let fraction = u128::from(digits(fraction)?) * u128::from(scale);
        if fraction % u128::from(unit) != 0 {
            return None;
        }
        let fraction = u64::try_from(fraction / u128::from(unit)).ok()?;
        digits(whole)?.checked_mul(scale)?.checked_add(fraction).map(Self)
    }
}

impl Write for Picodollars {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
}

/// Dollars with six places, rounded up: what people compare with a cap.
impl fmt::Display for Picodollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micro = self.0.div_ceil(1_000_000);
        write!(f, "${}.{:06}", micro / 1_000_000, micro % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Price = Price { input: 3_000_000, cached_input: 300_000, cache_write: 3_750_000, output: 15_000_000 };

    #[test]
    fn each_token_is_paid_once() {
        let usage = Usage { input: 1000, cached_input: 600, cache_write: 100, output: 50, reasoning: 20 };
        assert_eq!(
            cost(&usage, &PRICE),
            Picodollars(300 * 3_000_000 + 600 * 300_000 + 100 * 3_750_000 + 50 * 15_000_000)
        );
        let odd = Usage { input: 10, cached_input: 600, ..Usage::default() };
        assert_eq!(cost(&odd, &PRICE), Picodollars(600 * 300_000), "more cached than input is not negative");
        let huge = Usage { input: u64::MAX, output: u64::MAX, ..Usage::default() };
        assert_eq!(cost(&huge, &PRICE), Picodollars(u64::MAX));
        assert!(worst(1000, 50, &PRICE) >= cost(&usage, &PRICE));
    }

    #[test]
    fn decimal_dollars_are_exact() {
        let cases = [
            ("5.00", 1_000_000_000_000, Some(5_000_000_000_000)),
            ("0.15", 1_000_000, Some(150_000)),
            ("0.000001", 1_000_000, Some(1)),
            ("0.0000001", 1_000_000, None),
            (".5", 10, Some(5)),
            ("1.", 10, Some(10)),
            ("", 10, None),
            (".", 10, None),
            ("-1", 10, None),
            ("1e3", 10, None),
            ("99999999999999", 1_000_000_000_000, None),
        ];
        for (text, scale, expected) in cases {
            assert_eq!(Picodollars::parse(text, scale), expected.map(Picodollars), "{text}");
        }
        assert_eq!(Picodollars(1).to_string(), "$0.000001");
        assert_eq!(Picodollars(5_000_000_000_000).to_string(), "$5.000000");
    }
}
