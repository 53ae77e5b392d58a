//! A price while it is put together, figure by figure, from a line or from a list that somebody publishes.

use crate::price::{Batch, Price, Rates, Search, Service, Tokens};

#[derive(Debug, Default)]
pub(super) struct Sheet {
    /// By service, and by the size above which they hold.
    figures: Vec<(Service, u64, Figures)>,
    pub(super) request: u64,
    pub(super) search: Option<Search>,
    pub(super) batch: Option<Batch>,
}

impl Sheet {
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
    pub(super) fn price(&self) -> Option<Price> {
        let others = [Service::Flex, Service::Priority].into_iter();
        let services = others.filter_map(|service| Some((service, self.tokens(service)?))).collect();
        let tokens = self.tokens(Service::Standard)?;
        Some(Price { tokens, services, request: self.request, search: self.search, batch: self.batch })
    }

    fn tokens(&self, service: Service) -> Option<Tokens> {
        let figures = self.figures.iter().filter(|(own, ..)| *own == service);
        let rates = figures.filter_map(|(_, size, figures)| Some((*size, figures.rates()?)));
        let (usual, above): (Vec<_>, Vec<_>) = rates.partition(|(size, _)| *size == 0);
        Some(Tokens { rates: usual.first()?.1, above })
    }
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
