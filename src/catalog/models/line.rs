//! A line of the table: `name 3/15 h.3 c200k m64k`, which is a model's name, what goes in and what comes out, then fields.
//!
//! Prices are in dollars per million tokens, and stand there where they differ: `h` and `w` of what is read from a cache and
//! written to it, `W` for an hour, `r` of reasoning, `a` and `A` of audio in and out, `v` and `V` of images. `q` is dollars
//! for each answer, `s` for one search, `S` for all searches of an answer. `b` is what batches cost, in percent or as both
//! prices. `c` and `m` are tokens of the prompt and of the answer. Behind `>` stand the rates of longer prompts, behind `@`
//! those of another service. `+` is before what it is known to do, and then `-` before what not, in the letters of
//! [`ABLE`]. Behind `:` stands its kind, if it does not chat. `#` begins a source other than the table's.

use super::sheet::Sheet;
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

pub(super) fn read(line: &str, source: &str) -> Model {
    let (fields, source) = line.split_once(" # ").unwrap_or((line, source));
    let mut model = Model { kind: Some(Kind::Chat), ..Model::default() };
    let mut sheet = Sheet::default();
    // What the next figures are of.
    let (mut service, mut size) = (Service::Standard, 0);
    let mut batch = None;
    for field in fields.split(' ').skip(1) {
        let mut letters = field.chars();
        let (letter, figure) = (letters.next().unwrap_or_default(), letters.as_str());
        match letter {
            'c' => model.context = thousands(figure),
            'm' => model.most = thousands(figure),
            'q' => sheet.request = dollars(figure),
            's' => sheet.search = dollars(figure).map(Search::Each),
            'S' => sheet.search = dollars(figure).map(Search::Once),
            'b' => batch = Some(figure),
            '+' | '-' => (model.can, model.cannot) = able(field),
            ':' => model.kind = Kind::named(figure),
            '>' => size = thousands(figure).unwrap_or_default(),
            '@' => (service, size) = (if figure == "flex" { Service::Flex } else { Service::Priority }, 0),
            letter => {
                let at = (service, size);
                match field.split_once('/') {
                    Some((input, output)) => {
                        sheet.set(at, 'i', per_token(input));
                        sheet.set(at, 'o', per_token(output));
                    }
                    None => sheet.set(at, letter, per_token(figure)),
                }
            }
        }
    }
    model.price = sheet.price().map(|price| {
        let batch = batch.and_then(|batch| read_batch(batch, &price.tokens.rates));
        Priced { price: Price { batch, ..price }, origin: Origin::Table(source.to_owned().into()) }
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

/// The line of which [`read`] makes `model`, but for where its price is from.
pub(super) fn write(name: &str, model: &Model) -> String {
    let mut line = name.to_owned();
    let mut add = |field: String| {
        line.push(' ');
        line.push_str(&field);
    };
    if let Some(Priced { price, .. }) = &model.price {
        let tokens = |tokens: &Tokens, add: &mut dyn FnMut(String)| {
            write_rates(&tokens.rates, add);
            for (size, rates) in &tokens.above {
                add(format!(">{size}"));
                write_rates(rates, add);
            }
        };
        let search = price.search.map(|search| match search {
            Search::Each(price) => format!("s{}", decimal(price)),
            Search::Once(price) => format!("S{}", decimal(price)),
        });
        // Before the sizes and services, which change what figures behind them are of.
        let request = (price.request > 0).then(|| format!("q{}", decimal(price.request)));
        let batch = price.batch.map(|batch| format!("b{}/{}", million(batch.input), million(batch.output)));
        request.into_iter().chain(search).chain(batch).for_each(&mut add);
        tokens(&price.tokens, &mut add);
        for (service, rates) in &price.services {
            match service {
                Service::Standard => continue,
                Service::Flex => add("@flex".to_owned()),
                Service::Priority => add("@priority".to_owned()),
            }
            tokens(rates, &mut add);
        }
    }
    let limits = [('c', model.context), ('m', model.most)];
    limits.into_iter().filter_map(|(letter, limit)| Some(format!("{letter}{}", limit?))).for_each(&mut add);
    let letters = |needs: Needs| ABLE.iter().filter(move |(_, need)| needs.has(*need)).map(|(letter, _)| *letter);
    let able = |sign: char, needs: Needs| (!needs.is_empty()).then(|| [sign].into_iter().chain(letters(needs)));
    let signs: String = able('+', model.can).into_iter().chain(able('-', model.cannot)).flatten().collect();
    if !signs.is_empty() {
        add(signs);
    }
    if let Some(kind) = model.kind.filter(|kind| *kind != Kind::Chat) {
        add(format!(":{}", kind.word()));
    }
    line
}

/// Those that differ from the like of them.
fn write_rates(rates: &Rates, add: &mut dyn FnMut(String)) {
    let Rates { input, cached_input, cache_write, cache_write_1h, output, .. } = *rates;
    add(format!("{}/{}", million(input), million(output)));
    let others = [
        ('h', cached_input, input),
        ('w', cache_write, input),
        ('W', cache_write_1h, cache_write),
        ('r', rates.reasoning, output),
        ('a', rates.audio_input, input),
        ('A', rates.audio_output, output),
        ('v', rates.image_input, input),
        ('V', rates.image_output, output),
    ];
    others.into_iter().filter(|(_, price, same)| price != same).for_each(|(letter, price, _)| {
        add(format!("{letter}{}", million(price)));
    });
}

/// Dollars, but for a zero before the point.
fn decimal(picodollars: u64) -> String {
    let dollars = Picodollars(picodollars).dollars();
    dollars.strip_prefix("0.").map(|fraction| format!(".{fraction}")).unwrap_or(dollars)
}

/// Of a million tokens.
fn million(per_token: u64) -> String {
    decimal(per_token.saturating_mul(1_000_000))
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
    fn a_line_is_written_as_it_is_read() {
        for line in include_str!("../models.txt").lines().filter(|line| !line.starts_with(['#', '['])) {
            let name = line.split(' ').next().unwrap();
            let (fields, source) = line.split_once(" # ").unwrap_or((line, "table"));
            let model = read(line, "table");
            let written = write(name, &model);
            assert_eq!(read(&written, source), model, "{written}");
            assert!(written.len() < fields.len() + 40, "{written} of {fields}");
        }
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
