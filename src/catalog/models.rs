//! Models: what each costs, and how much it takes. The table is a text that nobody parses whole: a line is found when its
//! model is asked for, and what the configuration says goes before it.
//!
//! A price that neither has is unknown. It is never taken as zero.

pub mod refresh;

use std::borrow::Cow;

use self::refresh::Overlay;
use crate::named::Named;
use crate::price::{Picodollars, Price, Rates, Search, Service, Tokens};
use crate::route::need::Needs;

/// By provider, `[name]`, a line for each model: `name 3/15 h.3 c200k m64k`, which is its name, what goes in and what comes
/// out, then fields. Prices are in dollars per million tokens, and stand there where they differ: `h` and `w` of what is
/// read from a cache and written to it, `W` for an hour, `r` of reasoning, `a` and `A` of audio in and out, `v` and `V` of
/// images. `q` is dollars for each answer, `s` for one search, `S` for all searches of an answer. `c` and `m` are tokens of
/// the prompt and of the answer. Behind `>` stand the rates of longer prompts, behind `@` those of another service. `#`
/// begins a source other than the table's.
///
/// So short, and without what nobody asks for, because it is the largest part of a Worker that is not code.
const TABLE: &str = include_str!("models.txt");
const SOURCE: &str = "# Source: ";

/// What is known of all models.
#[derive(Debug)]
pub struct Models {
    /// Providers and their lines.
    table: Vec<(&'static str, &'static str)>,
    source: &'static str,
    /// What the configuration says, by `provider/model`.
    own: Named<Model>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    pub price: Option<Priced>,
    /// The most tokens of a prompt.
    pub context: Option<u64>,
    /// The most tokens of an answer.
    pub most: Option<u64>,
    /// What it is known not to do.
    pub cannot: Needs,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    pub price: Price,
    pub origin: Origin,
}

/// Where a price comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Configuration,
    /// The catalogue's source and when it was read.
    Table(Cow<'static, str>),
}

impl Models {
    pub fn built_in() -> Self {
        // Brackets stand nowhere else: this is done at every start, and should be quick.
        let table = TABLE.split('[').skip(1).filter_map(|section| section.split_once("]\n")).collect();
        let source = TABLE.lines().find_map(|line| line.strip_prefix(SOURCE)).unwrap_or_default();
        Self { table, source, own: Named::default() }
    }

    /// Has prices that were read anew go before those of the table. To be called before [`Self::set`].
    pub fn refreshed(&mut self, overlay: &Overlay) {
        for line in overlay.lines.lines() {
            let mut words = line.split(' ');
            let (Some(model), Some(input), Some(output)) = (words.next(), words.next(), words.next()) else { continue };
            let (Ok(input), Ok(output)) = (input.parse(), output.parse()) else { continue };
            let price = Price::of(Tokens { rates: Rates::flat(input, output), above: Vec::new() });
            let priced = Priced { price, origin: Origin::Table(Cow::Owned(overlay.source.clone())) };
            self.own.insert(model.to_owned(), Model { price: Some(priced), ..Model::default() });
        }
    }

    /// `model` is `provider/model`. What it leaves open is as the table has it.
    pub fn set(&mut self, model: String, own: Model) {
        self.own.insert(model, own);
    }

    /// What is known of `provider/model`. A dated snapshot is like its model, unless it has its own line.
    pub fn get(&self, model: &str) -> Model {
        let plain = undated(model);
        let own = self.own.get(model).or_else(|| self.own.get(plain?)).cloned();
        let Model { price, context, most, .. } = own.unwrap_or_default();
        let listed = self.listed(model).or_else(|| self.listed(plain?)).unwrap_or_default();
        Model {
            price: price.or(listed.price),
            context: context.or(listed.context),
            most: most.or(listed.most),
            cannot: listed.cannot,
        }
    }

    /// Whether it has a line of its own or one of its undated name.
    pub fn knows(&self, model: &str) -> bool {
        let has = |model: &str| self.own.contains(model) || self.line(model).is_some();
        has(model) || undated(model).is_some_and(has)
    }

    /// Every model of `provider` that has a line, in the order of their names.
    pub fn of(&self, provider: &str) -> Vec<&str> {
        let own = self.own.names().filter_map(|model| model.strip_prefix(provider)?.strip_prefix('/'));
        let listed = self.section(provider).unwrap_or_default().lines().map(name);
        let mut models: Vec<&str> = listed.chain(own).collect();
        models.sort_unstable();
        models.dedup();
        models
    }

    fn section(&self, provider: &str) -> Option<&'static str> {
        self.table.iter().find(|(name, _)| *name == provider).map(|(_, lines)| *lines)
    }

    fn line(&self, model: &str) -> Option<&'static str> {
        let (provider, model) = model.split_once('/')?;
        self.section(provider)?.lines().find(|line| name(line) == model)
    }

    fn listed(&self, model: &str) -> Option<Model> {
        self.line(model).map(|line| read(line, self.source))
    }
}

fn name(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

fn read(line: &'static str, source: &'static str) -> Model {
    let (fields, source) = line.split_once(" # ").unwrap_or((line, source));
    let mut model = Model::default();
    // By service and by size, the last of which is filled.
    let mut filled = vec![(Service::Standard, 0, Figures::default())];
    let (mut request, mut search) = (0, None);
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
        let price = Price { tokens: standard, services, request, search };
        Priced { price, origin: Origin::Table(Cow::Borrowed(source)) }
    });
    model
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
            *place = Picodollars::parse(dollars, 1_000_000).map(|Picodollars(price)| price);
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

/// `gpt-5-2025-08-07` and `claude-haiku-4-5-20251001` without their dates.
fn undated(model: &str) -> Option<&str> {
    let dash = model.rfind('-')?;
    let (head, date) = model.split_at(dash);
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    if digits(date.strip_prefix('-')?, 8) {
        return Some(head);
    }
    let mut parts = model.rsplitn(4, '-');
    let (day, month, year, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (digits(day, 2) && digits(month, 2) && digits(year, 4)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::providers;

    #[test]
    fn the_table_is_in_order_and_its_figures_make_sense() {
        let models = Models::built_in();
        let known: Vec<String> = providers().into_iter().map(|row| row.name).collect();
        assert!(models.table.len() > 40 && models.source.contains("read 20"), "{}", models.source);
        let mut count = 0;
        for (provider, lines) in &models.table {
            assert!(*provider == "tollgate" || known.iter().any(|known| known == provider), "{provider}");
            let names: Vec<&str> = lines.lines().map(name).collect();
            assert!(names.is_sorted_by(|a, b| a < b), "{provider}");
            for line in lines.lines() {
                count += 1;
                let Model { price, context, most, .. } = read(line, "table");
                assert!(context != Some(0) && most != Some(0), "{line}");
                let Some(Priced { price, .. }) = price else { continue };
                let tokens = price.services.iter().map(|(_, tokens)| tokens).chain([&price.tokens]);
                let tiers =
                    tokens.flat_map(|tokens| tokens.above.iter().map(|(_, rates)| rates).chain([&tokens.rates]));
                let Tokens { above, .. } = &price.tokens;
                assert!(above.is_sorted_by(|a, b| a.0 < b.0) && above.iter().all(|tier| tier.0 > 0), "{line}");
                for rates in tiers {
                    assert!(rates.cached_input <= rates.input, "{line}");
                    // A thousand dollars for a million tokens would be a mistake.
                    assert!(rates.input < 1_000_000_000 && rates.output < 1_000_000_000, "{line}");
                }
            }
        }
        assert!(count > 2000, "{count}");
    }

    #[test]
    fn a_line_says_what_a_model_costs_and_takes() {
        let line = "m 1/5 h.1 w1.2 W2 a3 q.03 s.07 c1k m64 >200k 2/7.5 >500k 4/9 @priority 3/9.5 >100k 6/9.9 # a page, read 2026-11-21";
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
        };
        let origin = Origin::Table("a page, read 2026-11-21".into());
        let expected =
            Model { price: Some(Priced { price, origin }), context: Some(1000), most: Some(64), ..Model::default() };
        assert_eq!(read(line, "table"), expected);
        assert_eq!(read("m h1 c5", "table"), Model { context: Some(5), ..Model::default() }, "half a price");
    }

    #[test]
    fn the_prices_of_those_who_make_models_are_known() {
        let models = Models::built_in();
        let cases = [
            ("anthropic/claude-sonnet-4-5", 3_000_000, 300_000, 15_000_000),
            ("openai/gpt-5", 1_250_000, 125_000, 10_000_000),
            ("google/gemini-2.5-pro", 1_250_000, 125_000, 10_000_000),
            ("bedrock-anthropic/us.anthropic.claude-haiku-4-5-20251001-v1:0", 1_100_000, 110_000, 5_500_000),
            ("cloudflare-workers-ai/@cf/openai/gpt-oss-120b", 350_000, 350_000, 750_000),
        ];
        for (model, input, cached_input, output) in cases {
            let rates = models.get(model).price.unwrap().price.tokens.rates;
            assert_eq!((rates.input, rates.cached_input, rates.output), (input, cached_input, output), "{model}");
        }
        let claude = models.get("anthropic/claude-sonnet-4-5");
        assert_eq!((claude.context, claude.most), (Some(200_000), Some(64_000)));
        assert_eq!(claude.price.unwrap().price.tokens.rates.cache_write_1h, 6_000_000);
        assert_eq!(models.get("tollgate/echo").price.unwrap().price.tokens.rates, Rates::default());
    }

    #[test]
    fn a_dated_snapshot_costs_what_its_model_costs() {
        let models = Models::built_in();
        let same = [
            ("openai/gpt-5-2025-08-07", "openai/gpt-5"),
            ("anthropic/claude-haiku-4-5-20251001", "anthropic/claude-haiku-4-5"),
        ];
        for (dated, plain) in same {
            assert!(models.knows(dated) && models.get(dated).price.is_some(), "{dated}");
            assert_eq!(models.get(dated), models.get(plain));
        }
        for unknown in ["openai/gpt-5-turbo", "openai/gpt-5-2025", "other/gpt-5", "", "-", "gpt-5-20250807", "openai/"]
        {
            assert!(!models.knows(unknown) && models.get(unknown) == Model::default(), "{unknown}");
        }
    }

    #[test]
    fn the_configuration_goes_before_the_table_field_by_field() {
        let mut models = Models::built_in();
        let known = models.get("openai/gpt-5");
        models.set("openai/gpt-5".into(), Model { most: Some(7), ..Model::default() });
        models.set("mine/llama".into(), Model { context: Some(9), ..Model::default() });
        for name in ["openai/gpt-5", "openai/gpt-5-2025-08-07"] {
            assert_eq!(models.get(name), Model { most: Some(7), ..known.clone() }, "{name}");
        }
        assert_eq!(models.get("mine/llama"), Model { context: Some(9), ..Model::default() });
        assert_eq!(models.of("mine"), ["llama"]);
        assert!(models.of("openai").contains(&"gpt-5") && models.of("nobody").is_empty());
    }
}
