//! A line of the table: `name 3/15 h.3 c200k m64k`, which is a model's name, what goes in and what comes out, then fields.
//!
//! Prices are in dollars per million tokens, and stand there where they differ: `h` and `w` of what is read from a cache and
//! written to it, `W` for an hour, `r` of reasoning, `a` and `A` of audio in and out, `v` and `V` of images. `q` is dollars
//! for each answer, `s` for one search, `S` for all searches of an answer. `b` is what batches cost, in percent or as both
//! prices. `c` and `m` are tokens of the prompt and of the answer. Behind `>` stand the rates of longer prompts, behind `@`
//! those of another service. `+` is before what it is known to do, and then `-` before what not, in the letters of
//! [`ABLE`]. Behind `:` stands its kind, if it does not chat. `#` begins a source other than the table's.

use std::borrow::Cow;

use super::{Kind, Model, Origin, Priced};
use crate::price::{Batch, Picodollars, Price, Rates, Search, Service, Tokens};
use crate::route::need::{Need, Needs};

const ABLE: [(char, Need); 6] = [
    ('a', Need::Audio),
    ('d', Need::Documents),
    ('i', Need::Images),
    ('r', Need::Reasoning),
    ('s', Need::Schema),
    ('t', Need::Tools),
];

pub(super) fn read(line: &'static str, source: &'static str) -> Model {
    let (fields, source) = line.split_once(" # ").unwrap_or((line, source));
    let mut model = Model { kind: Some(Kind::Chat), ..Model::default() };
    // By service and by size, the last of which is filled.
    let mut filled = vec![(Service::Standard, 0, Figures::default())];
    let (mut request, mut search, mut batch) = (0, None, None);
    for field in fields.split(' ').skip(1) {
        let mut letters = field.chars();
        let (letter, figure) = (letters.next().unwrap_or_default(), letters.as_str());
        let service = filled.last().map(|(service, ..)| *service).unwrap_or_default();
        match letter {
            'c' => model.context = thousands(figure),
            'm' => model.most = thousands(figure),
            'q' => request = dollars(figure).unwrap_or_default(),
            's' => search = dollars(figure).map(Search::Each),
            'S' => search = dollars(figure).map(Search::Once),
            'b' => batch = Some(figure),
            '+' | '-' => (model.can, model.cannot) = able(field),
            ':' => model.kind = Kind::named(figure),
            '>' => filled.push((service, thousands(figure).unwrap_or_default(), Figures::default())),
            '@' if figure == "flex" => filled.push((Service::Flex, 0, Figures::default())),
            '@' => filled.push((Service::Priority, 0, Figures::default())),
            letter => {
                let Some((.., figures)) = filled.last_mut() else { continue };
                match field.split_once('/') {
                    Some((input, output)) => {
                        figures.set('i', input);
                        figures.set('o', output);
                    }
                    None => figures.set(letter, figure),
                }
            }
        }
    }
    let tokens = |service| tokens(&filled, service);
    model.price = tokens(Service::Standard).map(|standard| {
        let others = [Service::Flex, Service::Priority].into_iter();
        let services = others.filter_map(|service| Some((service, tokens(service)?))).collect();
        let batch = batch.and_then(|batch| read_batch(batch, &standard.rates));
        let price = Price { tokens: standard, services, request, search, batch };
        Priced { price, origin: Origin::Table(Cow::Borrowed(source)) }
    });
    model
}

/// `+it-a`: images and tools, and no audio.
fn able(field: &str) -> (Needs, Needs) {
    let (can, cannot) = field.split_once('-').unwrap_or((field, ""));
    let needs = |letters: &str| {
        let named = letters.chars().filter_map(|letter| ABLE.iter().find(|(known, _)| *known == letter));
        named.map(|(_, need)| *need).collect()
    };
    (needs(can), needs(cannot))
}

/// `50` and `.5/2`.
fn read_batch(figure: &str, usual: &Rates) -> Option<Batch> {
    if let Some((input, output)) = figure.split_once('/') {
        return Some(Batch { input: per_token(input)?, output: per_token(output)? });
    }
    let percent: u64 = figure.parse().ok()?;
    let share = |price: u64| price.saturating_mul(percent) / 100;
    Some(Batch { input: share(usual.input), output: share(usual.output) })
}

/// `200k` and `131072`.
fn thousands(figure: &str) -> Option<u64> {
    match figure.strip_suffix('k') {
        Some(thousands) => thousands.parse::<u64>().ok()?.checked_mul(1000),
        None => figure.parse().ok(),
    }
}

fn dollars(figure: &str) -> Option<u64> {
    Picodollars::parse(figure, 1_000_000_000_000).map(|Picodollars(price)| price)
}

/// Dollars per million tokens are picodollars per token, times a million.
fn per_token(figure: &str) -> Option<u64> {
    Picodollars::parse(figure, 1_000_000).map(|Picodollars(price)| price)
}

fn tokens(filled: &[(Service, u64, Figures)], service: Service) -> Option<Tokens> {
    let mut sizes =
        filled.iter().filter(|(own, ..)| *own == service).map(|(_, size, figures)| (*size, figures.rates()));
    let (_, rates) = sizes.next()?;
    let above = sizes.filter_map(|(size, rates)| Some((size, rates?))).collect();
    Some(Tokens { rates: rates?, above })
}

/// Rates on their way, in the order of their names: what is not said is as the like of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Figures(pub [Option<u64>; Self::NAMES.len()]);

impl Figures {
    /// As the table calls them, and as the configuration does.
    pub const NAMES: [(char, &str); 10] = [
        ('i', "input"),
        ('h', "cached_input"),
        ('w', "cache_write"),
        ('W', "cache_write_1h"),
        ('o', "output"),
        ('r', "reasoning"),
        ('a', "audio_input"),
        ('A', "audio_output"),
        ('v', "image_input"),
        ('V', "image_output"),
    ];

    fn set(&mut self, letter: char, dollars: &str) {
        let named = Self::NAMES.iter().zip(&mut self.0).find(|((name, _), _)| *name == letter);
        if let Some((_, place)) = named {
            *place = per_token(dollars);
        }
    }

    /// None without a price for what goes in and one for what comes out.
    pub fn rates(&self) -> Option<Rates> {
        let [
            input,
            cached_input,
            cache_write,
            cache_write_1h,
            output,
            reasoning,
            audio_input,
            audio_output,
            image_input,
            image_output,
        ] = self.0;
        let (input, output) = (input?, output?);
        let cache_write = cache_write.unwrap_or(input);
        Some(Rates {
            input,
            cached_input: cached_input.unwrap_or(input),
            cache_write,
            cache_write_1h: cache_write_1h.unwrap_or(cache_write),
            output,
            reasoning: reasoning.unwrap_or(output),
            audio_input: audio_input.unwrap_or(input),
            audio_output: audio_output.unwrap_or(output),
            image_input: image_input.unwrap_or(input),
            image_output: image_output.unwrap_or(output),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_a_model_costs_and_takes() {
        let line = "m 1/5 h.1 w1.2 W2 a3 q.03 s.07 c1k m64 +it-a b50 >200k 2/7.5 >500k 4/9 @priority 3/9.5 >100k 6/9.9 # a page, read 2026-11-21";
        let rates = Rates {
            cached_input: 100_000,
            cache_write: 1_200_000,
            cache_write_1h: 2_000_000,
            audio_input: 3_000_000,
            ..Rates::flat(1_000_000, 5_000_000)
        };
        let above = vec![(200_000, Rates::flat(2_000_000, 7_500_000)), (500_000, Rates::flat(4_000_000, 9_000_000))];
        let fast = Tokens {
            rates: Rates::flat(3_000_000, 9_500_000),
            above: vec![(100_000, Rates::flat(6_000_000, 9_900_000))],
        };
        let price = Price {
            tokens: Tokens { rates, above },
            services: vec![(Service::Priority, fast)],
            request: 30_000_000_000,
            search: Some(Search::Each(70_000_000_000)),
            batch: Some(Batch { input: 500_000, output: 2_500_000 }),
        };
        let origin = Origin::Table("a page, read 2026-11-21".into());
        let expected = Model {
            price: Some(Priced { price, origin }),
            context: Some(1000),
            most: Some(64),
            kind: Some(Kind::Chat),
            can: [Need::Images, Need::Tools].into_iter().collect(),
            cannot: [Need::Audio].into_iter().collect(),
        };
        assert_eq!(read(line, "table"), expected);
        let half = Model { context: Some(5), kind: Some(Kind::Chat), ..Model::default() };
        assert_eq!(read("m h1 c5", "table"), half, "half a price");
    }

    #[test]
    fn what_is_said_of_a_model_may_be_little() {
        let read = |line| read(line, "table");
        let able = |line| (read(line).can, read(line).cannot);
        let needs = |needs: &[Need]| needs.iter().copied().collect::<Needs>();
        assert_eq!(able("m c5"), (Needs::default(), Needs::default()));
        assert_eq!(able("m -ai"), (Needs::default(), needs(&[Need::Audio, Need::Images])));
        assert_eq!(able("m +drs"), (needs(&[Need::Documents, Need::Reasoning, Need::Schema]), Needs::default()));
        assert_eq!(read("m :embedding").kind, Some(Kind::Embedding));
        let batch = |line| read(line).price.and_then(|priced| priced.price.batch);
        assert_eq!(batch("m 1/5 b.5/2"), Some(Batch { input: 500_000, output: 2_000_000 }));
        assert_eq!(batch("m 1/5"), None);
        assert_eq!(batch("m b50"), None, "half of an unknown price");
    }
}
