//! Text that a record shares with the message that it is from.

use std::fmt;
use std::ops::Deref;

use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Method};

/// Text of a request. Most requests end without anybody reading it, so nothing is copied.
#[derive(Clone, Default)]
pub struct Text(Kind);

#[derive(Clone, Default)]
enum Kind {
    #[default]
    Empty,
    Value(HeaderValue),
    Method(Method),
    Path(PathAndQuery),
    Authority(Authority),
    Own(Box<str>),
}

impl Text {
    /// As a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Kind::Empty => "",
            Kind::Value(value) => value.to_str().unwrap_or_default(),
            Kind::Method(method) => method.as_str(),
            Kind::Path(path) => path.as_str(),
            Kind::Authority(authority) => authority.as_str(),
            Kind::Own(text) => text,
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<Option<&HeaderValue>> for Text {
    /// Empty where it is missing; read as empty where it is not text.
    fn from(value: Option<&HeaderValue>) -> Self {
        Self(value.map_or(Kind::Empty, |value| Kind::Value(value.clone())))
    }
}

impl From<&Method> for Text {
    fn from(method: &Method) -> Self {
        Self(Kind::Method(method.clone()))
    }
}

impl From<Option<&PathAndQuery>> for Text {
    /// `/` where it is missing.
    fn from(path: Option<&PathAndQuery>) -> Self {
        Self(path.map_or_else(|| Kind::Path(PathAndQuery::from_static("/")), |path| Kind::Path(path.clone())))
    }
}

impl From<&Authority> for Text {
    fn from(authority: &Authority) -> Self {
        Self(Kind::Authority(authority.clone()))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(if text.is_empty() { Kind::Empty } else { Kind::Own(text.into()) })
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(if text.is_empty() { Kind::Empty } else { Kind::Own(text.into()) })
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_as_what_it_is_from() {
        let value = HeaderValue::from_static("curl/8");
        let opaque = HeaderValue::from_bytes(b"\xff").expect("HTTP allows it");
        let path = PathAndQuery::from_static("/x?y");
        let texts = [
            (Text::default(), ""),
            (Text::from(Some(&value)), "curl/8"),
            (Text::from(Some(&opaque)), ""),
            (Text::from(None::<&HeaderValue>), ""),
            (Text::from(&Method::GET), "GET"),
            (Text::from(Some(&path)), "/x?y"),
            (Text::from(None::<&PathAndQuery>), "/"),
            (Text::from(&Authority::from_static("web:80")), "web:80"),
            (Text::from("own"), "own"),
            (Text::from(String::from("own")), "own"),
        ];
        for (text, meant) in texts {
            assert_eq!((text.as_str(), text.to_string().as_str()), (meant, meant));
        }
    }
}
