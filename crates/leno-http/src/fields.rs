//! The header fields of a message.

use std::ops::Index;

use http::{HeaderName, HeaderValue};

/// The fields of one message, in the order in which they came. A name may repeat.
///
/// A list and no hash map: of the dozen fields that most messages have, one is found sooner by looking at all names, most of which are
/// numbers, than by hashing, and a list costs one allocation that [`crate::spare`] uses again. What a peer may send is bounded by the
/// codecs ([`crate::h1::limits::FIELDS`], [`crate::h2::limits::HEADER_LIST`]), and with it what a search costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    list: Vec<(HeaderName, HeaderValue)>,
}

/// What a field is looked up by: its name, or the name as text, in capitals or not.
pub trait Named {
    /// Whether `name` is it.
    fn is(&self, name: &HeaderName) -> bool;
}

impl Named for HeaderName {
    fn is(&self, name: &HeaderName) -> bool {
        self == name
    }
}

impl Named for &HeaderName {
    fn is(&self, name: &HeaderName) -> bool {
        *self == name
    }
}

impl Named for &str {
    fn is(&self, name: &HeaderName) -> bool {
        name.as_str().eq_ignore_ascii_case(self)
    }
}

impl Fields {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// None, with room for `fields` of them.
    #[must_use]
    pub fn with_capacity(fields: usize) -> Self {
        Self { list: Vec::with_capacity(fields) }
    }

    /// Fields that there is room for.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.list.capacity()
    }

    /// How many there are, each repetition counted.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether there is one of that name.
    #[must_use]
    pub fn contains(&self, name: impl Named) -> bool {
        self.get(name).is_some()
    }

    /// The first value of a name.
    #[expect(clippy::needless_pass_by_value, reason = "names are constants, and read as they do with other maps")]
    #[must_use]
    pub fn get(&self, name: impl Named) -> Option<&HeaderValue> {
        self.list.iter().find(|(n, _)| name.is(n)).map(|(_, value)| value)
    }

    /// All values of a name.
    pub fn get_all(&self, name: impl Named) -> impl Iterator<Item = &HeaderValue> {
        self.list.iter().filter(move |(n, _)| name.is(n)).map(|(_, value)| value)
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, (HeaderName, HeaderValue)> {
        self.list.iter()
    }

    /// Adds one behind all others.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.list.push((name, value));
    }

    /// Makes `value` the only one of its name, at the place of the first.
    pub fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        let Some(first) = self.list.iter().position(|(n, _)| *n == name) else {
            return self.append(name, value);
        };
        self.list[first].1 = value;
        if self.list[first + 1..].iter().any(|(n, _)| *n == name) {
            // In one go, as there may be many.
            let mut kept = false;
            self.list.retain(|(n, _)| *n != name || !std::mem::replace(&mut kept, true));
        }
    }

    /// Adds one, unless its name is there.
    pub fn insert_if_missing(&mut self, name: HeaderName, value: HeaderValue) {
        if !self.contains(&name) {
            self.append(name, value);
        }
    }

    /// Removes all of a name; the first of their values.
    #[expect(clippy::needless_pass_by_value, reason = "names are constants, and read as they do with other maps")]
    pub fn remove(&mut self, name: impl Named) -> Option<HeaderValue> {
        let first = self.list.iter().position(|(n, _)| name.is(n))?;
        let (_, value) = self.list.remove(first);
        if self.list[first..].iter().any(|(n, _)| name.is(n)) {
            self.list.retain(|(n, _)| !name.is(n));
        }
        Some(value)
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.list.clear();
    }
}

impl<'f> IntoIterator for &'f Fields {
    type Item = &'f (HeaderName, HeaderValue);
    type IntoIter = std::slice::Iter<'f, (HeaderName, HeaderValue)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for Fields {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(fields: I) -> Self {
        Self { list: fields.into_iter().collect() }
    }
}

/// The first value of a name that must be there, as in tests: panics where it is not.
impl Index<&str> for Fields {
    type Output = HeaderValue;

    #[expect(clippy::expect_used, reason = "what an index does")]
    fn index(&self, name: &str) -> &HeaderValue {
        self.get(name).expect("a field of that name")
    }
}

#[cfg(test)]
mod tests {
    use http::header::{COOKIE, HOST, VIA};
    use http::{HeaderMap, HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::Fields;

    fn value(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    fn shown(fields: &Fields) -> String {
        let one = |(n, v): &(HeaderName, HeaderValue)| format!("{n}={}", v.to_str().expect("text"));
        fields.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_repeats_is_replaced_and_removed_together_and_the_rest_keeps_its_order() {
        let all: Fields = [(VIA, "a"), (HOST, "web"), (VIA, "b"), (COOKIE, "c"), (VIA, "d")]
            .into_iter()
            .map(|(name, text)| (name, value(text)))
            .collect();
        let mut fields = all.clone();
        fields.insert(VIA, value("e"));
        assert_eq!(shown(&fields), "via=e host=web cookie=c");
        let mut fields = all.clone();
        assert_eq!(fields.remove("Via"), Some(value("a")));
        assert_eq!(shown(&fields), "host=web cookie=c");
        assert_eq!(fields.remove(VIA), None);
        fields.insert_if_missing(HOST, value("shop"));
        fields.insert_if_missing(VIA, value("f"));
        assert_eq!(shown(&fields), "host=web cookie=c via=f");
        assert_eq!(all.get_all(&VIA).collect::<Vec<_>>(), ["a", "b", "d"]);
    }

    /// What a step does to the fields.
    type Step = (u8, &'static str, &'static str);

    fn step() -> impl Strategy<Value = Step> {
        let name = prop::sample::select(vec!["host", "via", "x-one", "x-two", "cookie"]);
        (0u8..4, name, prop::sample::select(vec!["a", "b", "c"]))
    }

    proptest! {
        /// The map of the `http` crate says what each step means; order apart, which it does not keep.
        #[test]
        fn each_step_does_what_it_does_to_a_map(steps in prop::collection::vec(step(), 0..40)) {
            let (mut fields, mut map) = (Fields::new(), HeaderMap::new());
            for (what, name, text) in steps {
                let (header, text) = (HeaderName::from_static(name), value(text));
                match what {
                    0 => fields.append(header.clone(), text.clone()),
                    1 => fields.insert(header.clone(), text.clone()),
                    2 => fields.insert_if_missing(header.clone(), text.clone()),
                    _ => prop_assert_eq!(fields.remove(name), map.get(name).cloned()),
                }
                match what {
                    0 => drop(map.append(header, text)),
                    1 => drop(map.insert(header, text)),
                    2 => drop(map.entry(header).or_insert(text)),
                    _ => drop(map.remove(name)),
                }
                prop_assert_eq!(fields.len(), map.len());
                for name in ["host", "via", "x-one", "x-two", "cookie"] {
                    prop_assert_eq!(fields.get(name), map.get(name));
                    let ours: Vec<_> = fields.get_all(name).collect();
                    prop_assert_eq!(ours, map.get_all(name).iter().collect::<Vec<_>>());
                }
            }
        }
    }
}
