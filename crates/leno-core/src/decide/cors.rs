//! Cross-origin requests: which origins a rule lets in, and which request asks for leave first.

use crate::model::StringMatch;
use crate::model::route::Cors;

/// Whether the policy lets this origin in. Without an `Origin` header nobody asks.
#[must_use]
pub fn allows(cors: &Cors, origin: &str) -> bool {
    let any = |o: &StringMatch| matches!(o, StringMatch::Exact(s) if s == "*");
    !origin.is_empty() && cors.allow_origins.iter().any(|o| o.matches(origin) || any(o))
}

/// Whether it is a preflight that the proxy answers itself: of an allowed origin, or of any where the policy says so (see
/// [`Cors::answers_others`]). `asks_method`: it has the header `access-control-request-method`.
#[must_use]
pub fn answers_preflight(cors: &Cors, method: &str, asks_method: bool, origin: &str) -> bool {
    method == "OPTIONS" && asks_method && (cors.answers_others || allows(cors, origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: Vec<StringMatch>) -> Cors {
        Cors { allow_origins: origins, ..Cors::default() }
    }

    #[test]
    fn only_allowed_origins_are_answered() {
        let one = cors(vec![StringMatch::Exact("https://a.example".to_owned())]);
        assert!(answers_preflight(&one, "OPTIONS", true, "https://a.example"));
        assert!(!answers_preflight(&one, "OPTIONS", true, "https://b.example"));
        assert!(!answers_preflight(&one, "OPTIONS", false, "https://a.example"), "no preflight");
        assert!(!answers_preflight(&one, "GET", true, "https://a.example"), "no preflight");
        assert!(allows(&cors(vec![StringMatch::Exact("*".to_owned())]), "https://b.example"));
        assert!(!allows(&cors(vec![StringMatch::Present]), ""), "nobody asks");
    }
}
