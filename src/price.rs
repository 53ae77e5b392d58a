//! Usage × price → cost, in integers.

use std::fmt;

use crate::bill::Bill;
use crate::chat::Usage;
use crate::wire::json::Write;

/// 10⁻¹² USD. A dollar per million tokens is a million picodollars per token, so every published price is whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Picodollars(pub u64);

/// What a model asks for its answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Price {
    pub tokens: Tokens,
    /// For answers that are served otherwise than usual.
    pub services: Vec<(Service, Tokens)>,
    /// Picodollars for each answer.
    pub request: u64,
    /// For searches of the web, where it is known.
    pub search: Option<Search>,
    /// For answers that may take a day, where there are such.
    pub batch: Option<Batch>,
}

/// Rates by the size of the prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    pub rates: Rates,
    /// For a prompt of more tokens than this, all of it; the smallest first.
    pub above: Vec<(u64, Rates)>,
}

/// How an answer is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Service {
    #[default]
    Standard,
    /// Slower, and cheaper.
    Flex,
    /// Faster, and dearer.
    Priority,
}

/// In picodollars per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    pub input: u64,
    pub output: u64,
}

/// In picodollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    Each(u64),
    /// However often an answer needed it.
    Once(u64),
}

/// Picodollars per token. Audio and images are part of the input and the output, and cost this in place of those.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    pub input: u64,
    pub cached_input: u64,
    /// Into a cache that lasts five minutes.
    pub cache_write: u64,
    pub cache_write_1h: u64,
    pub output: u64,
    pub reasoning: u64,
    pub audio_input: u64,
    pub audio_output: u64,
    pub image_input: u64,
    pub image_output: u64,
}

impl Rates {
    /// One price for all that goes in and one for all that comes out.
    pub fn flat(input: u64, output: u64) -> Self {
        Self {
            input,
            cached_input: input,
            cache_write: input,
            cache_write_1h: input,
            output,
            reasoning: output,
            audio_input: input,
            audio_output: output,
            image_input: input,
            image_output: output,
        }
    }

    fn dearest_input(&self) -> u64 {
        let kinds = [self.cached_input, self.cache_write, self.cache_write_1h, self.audio_input, self.image_input];
        kinds.into_iter().fold(self.input, u64::max)
    }

    fn dearest_output(&self) -> u64 {
        self.output.max(self.reasoning).max(self.audio_output).max(self.image_output)
    }
}

impl Price {
    /// The same rates for whatever is served, and however.
    pub fn of(tokens: Tokens) -> Self {
        let services = [Service::Flex, Service::Priority].map(|service| (service, tokens.clone()));
        Self { tokens, services: services.into(), ..Self::default() }
    }

    pub fn tokens(&self, service: Service) -> Option<&Tokens> {
        match service {
            Service::Standard => Some(&self.tokens),
            other => self.services.iter().find(|(service, _)| *service == other).map(|(_, tokens)| tokens),
        }
    }
}

impl Tokens {
    /// Those of a prompt of so many tokens.
    pub fn rates(&self, input: u64) -> &Rates {
        let above = self.above.iter().rev().find(|(size, _)| input > *size);
        above.map_or(&self.rates, |(_, rates)| rates)
    }

    /// The most that so many can cost.
    fn worst(&self, input: u64, output: u64) -> u64 {
        let reached = self.above.iter().filter(|(size, _)| input > *size).map(|(_, rates)| rates);
        let costs = reached.chain([&self.rates]).map(|rates| {
            let input = input.saturating_mul(rates.dearest_input());
            input.saturating_add(output.saturating_mul(rates.dearest_output()))
        });
        costs.max().unwrap_or_default()
    }
}

/// Cost of one answer; `None` where it was searched for, or served in a way, and no price of that is known.
///
/// Tokens of a kind that has its own price are not also counted at another. Saturates instead of overflowing.
pub fn cost(usage: &Usage, bill: &Bill, price: &Price) -> Option<Picodollars> {
    let rates = price.tokens(bill.service)?.rates(usage.input);
    let written_1h = bill.cache_write_1h.min(usage.cache_write);
    // What was cached is taken to be text: no provider says of what kind it was.
    let mut input = Split(usage.input);
    let mut output = Split(usage.output);
    let terms = [
        (input.take(usage.cached_input), rates.cached_input),
        (input.take(written_1h), rates.cache_write_1h),
        (input.take(usage.cache_write.saturating_sub(written_1h)), rates.cache_write),
        (input.take(bill.audio_input), rates.audio_input),
        (input.take(bill.image_input), rates.image_input),
        (input.0, rates.input),
        (output.take(usage.reasoning), rates.reasoning),
        (output.take(bill.audio_output), rates.audio_output),
        (output.take(bill.image_output), rates.image_output),
        (output.0, rates.output),
        (1, price.request),
        match (bill.searches, price.search) {
            (0, _) => (0, 0),
            (searches, Some(Search::Each(each))) => (searches, each),
            (_, Some(Search::Once(once))) => (1, once),
            (_, None) => return None,
        },
    ];
    let sum = terms.iter().fold(0, |sum: u64, (count, price)| sum.saturating_add(count.saturating_mul(*price)));
    Some(Picodollars(sum))
}

/// Tokens that are not accounted for yet.
struct Split(u64);

impl Split {
    /// No more of them than there are.
    fn take(&mut self, tokens: u64) -> u64 {
        let taken = tokens.min(self.0);
        self.0 -= taken;
        taken
    }
}

/// The most that a request can cost whose prompt has at most `input` tokens and whose answer at most `output`, if it is not
/// served dearer than by `service`. Searches come on top.
pub fn worst(input: u64, output: u64, service: Service, price: &Price) -> Option<Picodollars> {
    let served = price.tokens(service)?.worst(input, output);
    Some(Picodollars(served.max(price.tokens.worst(input, output)).saturating_add(price.request)))
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

    /// In dollars, exactly and as briefly as it can be: `0.00000125`.
    pub fn dollars(self) -> String {
        let text = format!("{}.{:012}", self.0 / 1_000_000_000_000, self.0 % 1_000_000_000_000);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    /// Reads a JSON number of dollars as others print it, `3.7999999999999996e-07` too: to the nearest picodollar.
    pub fn nearest(dollars: &str) -> Option<Self> {
        Self::nearest_of(dollars, 0)
    }

    /// The same of an amount in so many decimal places of a dollar: 2 of cents.
    pub fn nearest_of(amount: &str, decimals: u32) -> Option<Self> {
        let (decimal, exponent) = amount.split_once(['e', 'E']).unwrap_or((amount, "0"));
        let exponent = exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(decimals).ok()?)?;
        let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
        if whole.is_empty() {
            return None;
        }
        // How many digits stand before the point, counted in picodollars.
        let mut places = i32::try_from(whole.len()).ok()?.checked_add(exponent)?.checked_add(12)?;
        let mut amount: u64 = 0;
        for byte in whole.bytes().chain(fraction.bytes()) {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
            match places {
                1.. => amount = amount.checked_mul(10)?.checked_add(u64::from(digit))?,
                0 => amount = amount.checked_add(u64::from(digit >= 5))?,
                _ => {}
            }
            places = places.saturating_sub(1);
        }
        while places > 0 && amount > 0 {
            amount = amount.checked_mul(10)?;
            places -= 1;
        }
        Some(Self(amount))
    }
}

/// Written as a JSON number of dollars, as other gateways tell costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dollars(pub Picodollars);

impl Write for Dollars {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.dollars().as_bytes());
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

    fn sonnet() -> Price {
        let rates = Rates {
            cached_input: 300_000,
            cache_write: 3_750_000,
            cache_write_1h: 6_000_000,
            audio_input: 9_000_000,
            image_output: 30_000_000,
            reasoning: 20_000_000,
            ..Rates::flat(3_000_000, 15_000_000)
        };
        let above = vec![(200_000, Rates::flat(6_000_000, 22_500_000)), (500_000, Rates::flat(7_000_000, 30_000_000))];
        let fast = Tokens { rates: Rates::flat(6_000_000, 30_000_000), above: Vec::new() };
        Price {
            tokens: Tokens { rates, above },
            services: vec![(Service::Priority, fast)],
            request: 0,
            search: Some(Search::Each(10_000_000_000)),
            batch: None,
        }
    }

    #[test]
    fn each_token_is_paid_once() {
        let usage = Usage { input: 1000, cached_input: 600, cache_write: 100, output: 50, reasoning: 20 };
        let plain = 300 * 3_000_000 + 600 * 300_000 + 30 * 15_000_000 + 20 * 20_000_000;
        let none = Bill::default();
        assert_eq!(cost(&usage, &none, &sonnet()), Some(Picodollars(plain + 100 * 3_750_000)));
        let bill = Bill { cache_write_1h: 40, searches: 2, ..none };
        let expected = plain + 60 * 3_750_000 + 40 * 6_000_000 + 2 * 10_000_000_000;
        assert_eq!(cost(&usage, &bill, &sonnet()), Some(Picodollars(expected)));
        let bill = Bill { audio_input: 200, image_output: 10, ..none };
        let expected = 100 * 3_000_000 + 200 * 9_000_000 + 600 * 300_000 + 100 * 3_750_000;
        let expected = expected + 20 * 20_000_000 + 10 * 30_000_000 + 20 * 15_000_000;
        assert_eq!(cost(&usage, &bill, &sonnet()), Some(Picodollars(expected)));
        let asked = Price { request: 7, ..sonnet() };
        assert_eq!(cost(&usage, &none, &asked), Some(Picodollars(plain + 100 * 3_750_000 + 7)));
        let odd = Usage { input: 10, cached_input: 600, ..Usage::default() };
        assert_eq!(cost(&odd, &none, &sonnet()), Some(Picodollars(10 * 300_000)), "no more is cached than there is");
        let huge = Usage { input: u64::MAX, output: u64::MAX, ..Usage::default() };
        assert_eq!(cost(&huge, &none, &sonnet()), Some(Picodollars(u64::MAX)));
    }

    #[test]
    fn a_search_without_a_price_makes_the_cost_unknown() {
        let price = Price { search: None, ..sonnet() };
        assert_eq!(cost(&Usage::default(), &Bill { searches: 1, ..Bill::default() }, &price), None);
        assert_eq!(cost(&Usage::default(), &Bill::default(), &price), Some(Picodollars(0)));
        let price = Price { search: Some(Search::Once(5)), ..price };
        assert_eq!(cost(&Usage::default(), &Bill { searches: 3, ..Bill::default() }, &price), Some(Picodollars(5)));
    }

    #[test]
    fn what_is_served_otherwise_has_its_own_rates_or_an_unknown_cost() {
        let usage = Usage { input: 10, output: 1, ..Usage::default() };
        let bill = |service| Bill { service, ..Bill::default() };
        assert_eq!(cost(&usage, &bill(Service::Priority), &sonnet()), Some(Picodollars(10 * 6_000_000 + 30_000_000)));
        assert_eq!(cost(&usage, &bill(Service::Flex), &sonnet()), None);
        assert_eq!(worst(10, 1, Service::Flex, &sonnet()), None);
        let flat = Price::of(Tokens { rates: Rates::flat(1, 2), above: Vec::new() });
        assert_eq!(cost(&usage, &bill(Service::Flex), &flat), Some(Picodollars(12)));
    }

    #[test]
    fn a_long_prompt_is_paid_at_the_rates_of_its_size() {
        let cases = [(200_000, 3_000_000), (200_001, 6_000_000), (500_000, 6_000_000), (500_001, 7_000_000)];
        for (input, rate) in cases {
            let usage = Usage { input, ..Usage::default() };
            assert_eq!(cost(&usage, &Bill::default(), &sonnet()), Some(Picodollars(input * rate)), "{input}");
        }
    }

    #[test]
    fn nothing_costs_more_than_the_worst() {
        // Every share of a prompt and an answer between kinds of tokens, on both sides of each size.
        let price = Price { request: 7, ..sonnet() };
        for input in [0, 7, 199_999, 200_001, 600_000] {
            for share in 0..32_u64 {
                let part = |bit: u64| if share & bit == 0 { 0 } else { input / 3 + bit };
                let usage = Usage {
                    input,
                    cached_input: part(1),
                    cache_write: part(2),
                    output: 90,
                    reasoning: if share & 16 == 0 { 0 } else { 100 },
                };
                let service = if share < 20 { Service::Standard } else { Service::Priority };
                let bill = Bill {
                    cache_write_1h: part(4),
                    audio_input: part(8),
                    image_output: 30,
                    service,
                    ..Bill::default()
                };
                let worst = |input| worst(input, 90, bill.service, &price);
                assert!(cost(&usage, &bill, &price) <= worst(input), "{usage:?} {bill:?}");
                assert!(cost(&usage, &bill, &price) <= worst(input + 300_000), "{usage:?} {bill:?}");
            }
        }
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
        for (picodollars, text) in [(0, "0"), (1, "0.000000000001"), (1_250_000, "0.00000125"), (10_u64.pow(13), "10")]
        {
            assert_eq!(Picodollars(picodollars).dollars(), text);
            assert_eq!(Picodollars::parse(text, 1_000_000_000_000), Some(Picodollars(picodollars)));
        }
        assert_eq!(Picodollars(1).to_string(), "$0.000001");
        assert_eq!(Picodollars(5_000_000_000_000).to_string(), "$5.000000");
    }

    #[test]
    fn numbers_of_others_are_read_to_the_nearest_picodollar() {
        let cases = [
            ("0.00003015", Some(30_150_000)),
            ("6.2e-7", Some(620_000)),
            ("6.2E-07", Some(620_000)),
            ("3.7999999999999996e-07", Some(380_000)),
            ("0", Some(0)),
            ("0.0", Some(0)),
            ("0e99", Some(0)),
            ("1", Some(1_000_000_000_000)),
            ("1e3", Some(1_000_000_000_000_000)),
            ("0.0000000000005", Some(1)),
            ("0.00000000000049", Some(0)),
            ("5e-13", Some(1)),
            ("5e-14", Some(0)),
            ("1e-99", Some(0)),
            ("18446744.073709551615", Some(u64::MAX)),
            ("18446744.073709551616", None),
            ("1e99", None),
            ("1e99999999999", None),
            ("-1", None),
            ("", None),
            (".5", None),
            ("1e", None),
            ("0x1", None),
            ("null", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Picodollars::nearest(text), expected.map(Picodollars), "{text}");
        }
    }
}
