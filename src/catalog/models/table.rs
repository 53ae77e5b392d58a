//! Lines by provider, `[name]`, as text: one is read when its model is asked for.

use std::borrow::Cow;

use super::{Model, line};

const SOURCE: &str = "# Source: ";

#[derive(Debug)]
pub(super) struct Table {
    /// Providers and their lines, which are in the order of their names.
    sections: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    /// Where its figures are from, and when they were read.
    pub(super) source: Cow<'static, str>,
}

impl Table {
    /// A text that says its source itself.
    pub(super) fn built_in(text: &'static str) -> Self {
        let source = text.lines().find_map(|line| line.strip_prefix(SOURCE)).unwrap_or_default();
        let sections = sections(text).map(|(name, lines)| (Cow::Borrowed(name), Cow::Borrowed(lines))).collect();
        Self { sections, source: Cow::Borrowed(source) }
    }

    pub(super) fn of(text: &str, source: String) -> Self {
        let owned = |text: &str| Cow::Owned(text.to_owned());
        let sections = sections(text).map(|(name, lines)| (owned(name), owned(lines))).collect();
        Self { sections, source: Cow::Owned(source) }
    }

    pub(super) fn has(&self, model: &str) -> bool {
        self.line(model).is_some()
    }

    /// What it says of `provider/model`.
    pub(super) fn get(&self, model: &str) -> Option<Model> {
        self.line(model).map(|line| line::read(line, &self.source))
    }

    /// Every model of `provider`. Each line is read once.
    pub(super) fn models(&self, provider: &str) -> impl Iterator<Item = (&str, Model)> {
        self.lines(provider).map(|line| (name(line), line::read(line, &self.source)))
    }

    pub(super) fn names(&self, provider: &str) -> impl Iterator<Item = &str> {
        self.lines(provider).map(name)
    }

    #[cfg(test)]
    pub(super) fn sections(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sections.iter().map(|(name, lines)| (name.as_ref(), lines.as_ref()))
    }

    fn lines(&self, provider: &str) -> std::str::Lines<'_> {
        let section = self.sections.iter().find(|(name, _)| name == provider);
        section.map_or("", |(_, lines)| lines.as_ref()).lines()
    }

    fn line(&self, model: &str) -> Option<&str> {
        let (provider, model) = model.split_once('/')?;
        self.lines(provider).find(|line| name(line) == model)
    }
}

/// Brackets stand nowhere else: this is done at every start, and should be quick.
fn sections(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('[').skip(1).filter_map(|section| section.split_once("]\n"))
}

fn name(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}
