//! Things by name, in the order of their names.
//!
//! Not a `BTreeMap`, of which every type of value is 5 KB of code: what is kept here is short or seldom changed.

use crate::wire::json::{Cursor, Read, Shape, Write, close, open};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<T>(Vec<(String, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Named<T> {
    pub fn get(&self, name: &str) -> Option<&T> {
        self.place(name).ok().and_then(|at| self.0.get(at)).map(|(_, value)| value)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn contains(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// What had this name before is gone.
    pub fn insert(&mut self, name: String, value: T) {
        let at = self.place(&name).unwrap_or_else(|at| at);
        match self.0.get_mut(at) {
            Some(known) if known.0 == name => known.1 = value,
            _ => self.0.insert(at, (name, value)),
        }
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.place(name).ok().and_then(|at| self.0.get_mut(at)).map(|(_, value)| value)
    }

    /// Changes the value of this name, which is the default one where there was none.
    pub fn change(&mut self, name: &str, change: impl FnOnce(&mut T))
    where
        T: Default,
    {
        let at = self.place(name).unwrap_or_else(|at| {
            self.0.insert(at, (name.to_owned(), T::default()));
            at
        });
        if let Some((_, value)) = self.0.get_mut(at) {
            change(value);
        }
    }

    pub fn each_mut(&mut self, mut change: impl FnMut(&mut T)) {
        self.0.iter_mut().for_each(|(_, value)| change(value));
    }

    pub fn retain(&mut self, keeps: impl Fn(&T) -> bool) {
        self.0.retain(|(_, value)| keeps(value));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(name))
    }
}

impl<'a, T: Read<'a>> Read<'a> for Named<T> {
    fn read(at: &mut Cursor<'a>) -> Self {
        let (mut named, mut is_first) = (Self::default(), true);
        at.open(b'{', "an object");
        while let Some(name) = at.name(is_first) {
            if named.contains(&name) {
                at.twice();
            }
            named.insert(name.into_owned(), T::read(at));
            is_first = false;
        }
        named
    }

    fn blank() -> Self {
        Self::default()
    }

    fn shape() -> Shape {
        Shape::named(T::shape())
    }
}

/// An object.
impl<T: Write> Write for Named<T> {
    fn write(&self, out: &mut Vec<u8>) {
        open(out);
        for (name, value) in self.iter() {
            if out.last() != Some(&b'{') {
                out.push(b',');
            }
            name.write(out);
            out.push(b':');
            value.write(out);
        }
        close(out);
    }

    fn is_blank(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json;

    #[test]
    fn names_are_in_order_and_the_last_value_counts() {
        let named: Named<u64> = json::parse(r#"{"b":1,"a":2,"b":3,"c":4}"#).unwrap();
        assert_eq!(named.iter().collect::<Vec<_>>(), [("a", &2), ("b", &3), ("c", &4)]);
        assert_eq!((named.get("b"), named.get("d"), named.contains("c")), (Some(&3), None, true));
        assert_eq!(json::to_string(&named), r#"{"a":2,"b":3,"c":4}"#);
    }

    #[test]
    fn what_is_changed_is_there() {
        let mut named = Named::<u64>::default();
        for (name, add) in [("b", 1), ("a", 2), ("b", 4)] {
            named.change(name, |value| *value += add);
        }
        assert_eq!(named.iter().collect::<Vec<_>>(), [("a", &2), ("b", &5)]);
        assert_eq!(named.get_mut("a"), Some(&mut 2));
        assert_eq!(named.get_mut("c"), None);
    }
}
