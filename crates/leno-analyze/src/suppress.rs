//! Findings that someone does not want to hear of.

use std::str::FromStr;

use crate::finding::Finding;

/// `CODE=Kind name.namespace`, with `*` for any text. The object may also be given as findings name it, `Kind
/// namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// The code.
    pub code: String,
    /// The pattern of the object.
    pub object: String,
}

/// The text is not of the form `CODE=Kind name.namespace`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotASuppression(String);

impl std::fmt::Display for NotASuppression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` is not of the form CODE=KIND NAME.NAMESPACE, such as \"IST0103=Pod *.testing\"", self.0)
    }
}

impl std::error::Error for NotASuppression {}

impl FromStr for Suppression {
    type Err = NotASuppression;

    fn from_str(text: &str) -> Result<Self, NotASuppression> {
        match text.split_once('=') {
            Some((code, object)) if !code.trim().is_empty() && !object.trim().is_empty() && !object.contains('=') => {
                Ok(Self { code: code.trim().to_owned(), object: object.trim().to_owned() })
            }
            _ => Err(NotASuppression(text.to_owned())),
        }
    }
}

impl Suppression {
    /// Whether it is about this finding.
    #[must_use]
    pub fn covers(&self, finding: &Finding) -> bool {
        let dotted = finding.origin.split_once(' ').map(|(kind, name)| match name.split_once('/') {
            Some((namespace, name)) => format!("{kind} {name}.{namespace}"),
            None => finding.origin.clone(),
        });
        self.code == finding.code.id
            && (glob(&self.object, &finding.origin) || dotted.is_some_and(|text| glob(&self.object, &text)))
    }
}

/// Whether `text` looks like `pattern`, in which `*` is any text.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn a_star_is_any_text() {
        assert!(glob("Pod web.shop", "Pod web.shop"));
        assert!(!glob("Pod web.shop", "Pod web.shop2"));
        assert!(glob("Pod *.shop", "Pod web-1.shop"));
        assert!(glob("*", "Namespace default"));
        assert!(glob("Pod *b*.shop", "Pod web.shop"));
        assert!(!glob("Pod *x*.shop", "Pod web.shop"));
    }
}
