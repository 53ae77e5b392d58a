//! A price while it is put together, figure by figure, from a line, from a list that somebody publishes, or from the
//! configuration.

use crate::price::{Batch, Price, Rates, Search, Service, Tokens};

#[derive(Debug, Default, Clone)]
pub struct Sheet {
    /// By service, and by the size above which they hold.
    figures: Vec<(Service, u64, Figures)>,
    pub request: Option<u64>,
    pub search: Option<Search>,
    pub(super) batch: Option<Batch>,
}

impl Sheet {
    /// What answers cost that are served as usual: for any prompt, and for those above a size.
    pub fn of(usual: Figures, above: Vec<(u64, Figures)>) -> Self {
        let sizes = [(0, usual)].into_iter().chain(above);
        let figures = sizes.map(|(size, figures)| (Service::Standard, size, figures)).collect();
        Self { figures, ..Self::default() }
    }

    /// Has everything that is not said stand to what is said as `known` has it, and says whether that made a figure that
    /// `known` does not have. Where input and output cost what they did, nothing else changes either.
    ///
    /// Who publishes no more than two prices of a model whose caches cost something of their own does not say that they cost
    /// as much as fresh input, which for a read is ten times what it is. Providers set those prices in proportion. In
    /// `models.txt` a model often costs different things at different providers: what is written to a cache stands to its input
    /// as it does elsewhere in all of 2,267 pairs of such prices, and what is read from one in 1,439 of 1,541. To call the
    /// cost unknown would be the larger error: under a cap, what is unknown counts as the most that it could have been.
    pub fn fill(&mut self, known: &Price) -> bool {
        let before = &known.tokens.rates;
        let Some((input, output)) = self.usual('i').zip(self.usual('o')) else { return false };
        let usual = Share::of((input, before.input), (output, before.output));
        let mut is_new = false;
        // Those that are said in part.
        for (service, size, own) in &mut self.figures {
            let Some(tokens) = known.tokens(*service) else { continue };
            let rates = tokens.rates(size.saturating_add(1));
            let share = Share::of(
                own.get('i').map_or(usual.input, |price| (price, rates.input)),
                own.get('o').map_or(usual.output, |price| (price, rates.output)),
            );
            let whole = own.over(&share.figures(rates));
            is_new |= !share.is_one() && whole != *own;
            *own = whole;
        }
        // And those that are not said at all. Who says one size of a service says all.
        let has = |figures: &[(Service, u64, Figures)], service: Service, is_longer: bool| {
            figures.iter().any(|(own, size, _)| *own == service && (*size > 0) == is_longer)
        };
        let standard = [(Service::Standard, &known.tokens)];
        let others = known.services.iter().map(|(service, tokens)| (*service, tokens));
        for (service, tokens) in standard.into_iter().chain(others) {
            let (is_told, are_longer_told) = (has(&self.figures, service, false), has(&self.figures, service, true));
            let plain = [(0, &tokens.rates)].into_iter().filter(|_| !is_told && !are_longer_told);
            let longer = tokens.above.iter().filter(|_| !are_longer_told).map(|(size, rates)| (*size, rates));
            for (size, rates) in plain.chain(longer) {
                is_new |= !usual.is_one();
                self.figures.push((service, size, usual.figures(rates)));
            }
        }
        if self.batch.is_none()
            && let Some(batch) = known.batch
        {
            let (input, output) = (share(usual.input, batch.input), share(usual.output, batch.output));
            self.batch = input.zip(output).map(|(input, output)| Batch { input, output });
            is_new |= !usual.is_one();
        }
        // These are no matter of tokens.
        self.request = self.request.or(Some(known.request).filter(|request| *request > 0));
        self.search = self.search.or(known.search);
        is_new
    }

    /// Writes the price of `letter` down, of answers that are served in this way, for prompts above this size.
    pub(super) fn set(&mut self, (service, size): (Service, u64), letter: char, price: Option<u64>) {
        let of_these = |(own, above, _): &&mut (Service, u64, Figures)| (*own, *above) == (service, size);
        match self.figures.iter_mut().find(of_these) {
            Some((.., figures)) => figures.set(letter, price),
            None => {
                let mut figures = Figures::default();
                figures.set(letter, price);
                self.figures.push((service, size, figures));
            }
        }
    }

    /// Those of the usual service, for prompts of any size.
    pub(super) fn usual(&self, letter: char) -> Option<u64> {
        self.figures.iter().find(|(service, size, _)| (*service, *size) == (Service::Standard, 0))?.2.get(letter)
    }

    /// Puts the figures of a service in the order of their sizes, and has what has no price at a size cost what it does
    /// below. Services are left out that do not say what all costs that usually has a price: an answer that used a cache would
    /// cost something unknown.
    pub(super) fn complete(&mut self) {
        self.figures.sort_by_key(|(service, size, _)| (*service as u8, *size));
        let mut below: Option<(Service, Figures)> = None;
        for (service, _, figures) in &mut self.figures {
            figures.drop_alike();
            if let Some((_, below)) = below.filter(|(same, _)| same == service) {
                *figures = figures.over(&below);
            }
            below = Some((*service, figures.clone()));
        }
        let due: Vec<char> =
            "ihwo".chars().filter(|letter| self.usual(*letter).is_some_and(|price| price > 0)).collect();
        let is_whole = |figures: &Figures| due.iter().all(|letter| figures.get(*letter).is_some());
        self.figures.retain(|(service, _, figures)| *service == Service::Standard || is_whole(figures));
    }

    /// None without rates of the usual service.
    pub fn price(&self) -> Option<Price> {
        let others = [Service::Flex, Service::Priority].into_iter();
        let services = others.filter_map(|service| Some((service, self.tokens(service)?))).collect();
        let tokens = self.tokens(Service::Standard)?;
        Some(Price {
            tokens,
            services,
            request: self.request.unwrap_or_default(),
            search: self.search,
            batch: self.batch,
        })
    }

    fn tokens(&self, service: Service) -> Option<Tokens> {
        let figures = self.figures.iter().filter(|(own, ..)| *own == service);
        let rates = figures.filter_map(|(_, size, figures)| Some((*size, figures.rates()?)));
        let (usual, above): (Vec<_>, Vec<_>) = rates.partition(|(size, _)| *size == 0);
        Some(Tokens { rates: usual.first()?.1, above })
    }
}

/// How prices have changed: what is asked now, and what was asked before.
#[derive(Debug, Clone, Copy)]
struct Share {
    input: (u64, u64),
    output: (u64, u64),
}

impl Share {
    /// A difference of a thousandth is how somebody wrote the same price: then it is that one.
    fn of(input: (u64, u64), output: (u64, u64)) -> Self {
        let exact = |(now, before): (u64, u64)| if is_near(now, before) { (before, before) } else { (now, before) };
        Self { input: exact(input), output: exact(output) }
    }

    fn is_one(&self) -> bool {
        self.input.0 == self.input.1 && self.output.0 == self.output.1
    }

    /// Those of `rates` that have a price of their own, as they are by now.
    fn figures(&self, rates: &Rates) -> Figures {
        let mut figures = Figures([
            share(self.input, rates.input),
            share(self.input, rates.cached_input),
            share(self.input, rates.cache_write),
            share(self.input, rates.cache_write_1h),
            share(self.output, rates.output),
            share(self.output, rates.reasoning),
            share(self.input, rates.audio_input),
            share(self.output, rates.audio_output),
            share(self.input, rates.image_input),
            share(self.output, rates.image_output),
        ]);
        figures.drop_alike();
        for letter in ['h', 'w'] {
            if figures.get(letter) == figures.get('i') {
                figures.set(letter, None);
            }
        }
        figures
    }
}

/// `price` in the proportion of `now` to `before`, to the nearest. Of what was free nothing is known.
fn share((now, before): (u64, u64), price: u64) -> Option<u64> {
    if now == before {
        return Some(price);
    }
    let (now, before) = (u128::from(now), u128::from(before));
    let doubled = (u128::from(price).checked_mul(now)?.checked_mul(2)?.checked_add(before)?)
        .checked_div(before.checked_mul(2)?)?;
    u64::try_from(doubled).ok()
}

/// Whether two prices are one, which is often written with fewer digits: Databricks asks $9.99999 for what costs ten.
pub(super) fn is_near(one: u64, other: u64) -> bool {
    one.abs_diff(other) <= one.max(other) / 1000
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

    pub(super) fn set(&mut self, letter: char, price: Option<u64>) {
        let named = Self::NAMES.iter().zip(&mut self.0).find(|((name, _), _)| *name == letter);
        if let Some((_, place)) = named {
            *place = price;
        }
    }

    pub(super) fn get(&self, letter: char) -> Option<u64> {
        let named = Self::NAMES.iter().zip(&self.0).find(|((name, _), _)| *name == letter);
        named.and_then(|(_, price)| *price)
    }

    /// What is as the like of it says nothing: where that is dearer, it is too.
    pub(super) fn drop_alike(&mut self) {
        for (letter, like) in [('W', 'w'), ('r', 'o'), ('a', 'i'), ('A', 'o'), ('v', 'i'), ('V', 'o')] {
            if self.get(letter) == self.get(like) {
                self.set(letter, None);
            }
        }
    }

    /// What has no price of its own has that of `below`.
    pub(super) fn over(&self, below: &Self) -> Self {
        let mut figures = self.clone();
        for (own, below) in figures.0.iter_mut().zip(&below.0) {
            *own = own.or(*below);
        }
        figures
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

    /// As lines of the table say it, without their names.
    fn filled(said: &str, known: &str) -> (String, bool) {
        let sheet = |text: &str| {
            let mut sheet = Sheet::default();
            let (mut service, mut size) = (Service::Standard, 0);
            for field in text.split(' ') {
                let (letter, figure) = field.split_at(1);
                match letter {
                    "@" => (service, size) = (Service::Priority, 0),
                    ">" => size = figure.parse().unwrap(),
                    "b" => sheet.batch = Some(Batch { input: figure.parse().unwrap(), output: 1 }),
                    "s" => sheet.search = Some(Search::Each(figure.parse().unwrap())),
                    "q" => sheet.request = Some(figure.parse().unwrap()),
                    letter => sheet.set((service, size), letter.chars().next().unwrap(), Some(figure.parse().unwrap())),
                }
            }
            sheet
        };
        let (mut said, mut known) = (sheet(said), sheet(known));
        known.complete();
        let is_new = said.fill(&known.price().unwrap());
        said.complete();
        let mut told = Vec::new();
        for (service, size, figures) in &said.figures {
            told.extend((*service != Service::Standard && *size == 0).then(|| "@".to_owned()));
            told.extend((*size > 0).then(|| format!(">{size}")));
            let named = Figures::NAMES.iter().zip(&figures.0);
            told.extend(named.filter_map(|((letter, _), price)| Some(format!("{letter}{}", (*price)?))));
        }
        told.extend(said.batch.map(|batch| format!("b{}", batch.input)));
        told.extend(said.search.map(|search| format!("{search:?}")));
        told.extend(said.request.map(|request| format!("q{request}")));
        (told.join(" "), is_new)
    }

    #[test]
    fn what_is_not_said_stands_to_what_is_as_it_did() {
        let claude =
            "i1000 h100 w1250 W2000 o5000 >200 i2000 h200 w2500 W4000 o7500 @ i2000 h200 w2500 W4000 o9000 b500 s7 q3";
        let cases = [
            // The same price is the same price.
            (
                "i1000 o5000",
                claude,
                "i1000 h100 w1250 W2000 o5000 >200 i2000 h200 w2500 W4000 o7500 @ i2000 h200 w2500 W4000 o9000 b500 Each(7) q3",
                false,
            ),
            // And so it is with fewer digits.
            ("i999 o5001", "i1000 h100 o5000", "i999 h100 o5001", false),
            // A tenth less is a tenth less of everything that is counted in tokens.
            (
                "i900 o4500",
                claude,
                "i900 h90 w1125 W1800 o4500 >200 i1800 h180 w2250 W3600 o6750 @ i1800 h180 w2250 W3600 o8100 b450 Each(7) q3",
                true,
            ),
            // What is said is so, the rest goes with that.
            (
                "i900 h50 o4500 s9 q0 b2",
                "i1000 h100 w1250 o5000 b500 s7 q3",
                "i900 h50 w1125 o4500 b2 Each(9) q0",
                true,
            ),
            (
                "i1000 o5000 >300 i3000",
                claude,
                "i1000 h100 w1250 W2000 o5000 >300 i3000 h300 w3750 W6000 o7500 @ i2000 h200 w2500 W4000 o9000 b500 Each(7) q3",
                true,
            ),
            (
                "i1000 o5000 @ i3000 o9000",
                "i1000 h100 o5000 @ i2000 h200 o9000",
                "i1000 h100 o5000 @ i3000 h300 o9000",
                true,
            ),
            // A service that is half known is not known, as ever.
            ("i1000 o5000 @ i3000 o9000", "i1000 h100 o5000", "i1000 h100 o5000", false),
            // What had no price of its own has none.
            ("i7 o8", "i1000 o5000", "i7 o8", false),
            // Reasoning goes with the output, audio with the input.
            ("i2 o30", "i1 o10 r20 a4", "i2 o30 r60 a8", true),
            // Of what was free nothing is known.
            ("i2 o30", "i0 h0 o0", "i2 o30", false),
            ("i5 o0", "i10 h1 o0", "i5 h1 o0", true),
            ("h1", "i1000 h100 o5000", "h1", false),
        ];
        for (said, known, expected, is_new) in cases {
            assert_eq!(filled(said, known), (expected.to_owned(), is_new), "{said} of {known}");
        }
    }
}
