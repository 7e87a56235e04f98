//! What of a message may be shown to a person who watches: never what lets its reader act as somebody else.

/// A header's value as it may be shown: `…` for what may be secret, cut at [`LONGEST_VALUE`] bytes.
#[must_use]
pub fn masked(name: &str, value: &str) -> String {
    let name = name.to_ascii_lowercase();
    if SECRET.iter().any(|part| name.contains(part)) || is_credential(value) {
        return MASK.to_owned();
    }
    // Addresses in these may have tokens in their query.
    if matches!(name.as_str(), "referer" | "location" | "content-location" | "link" | "refresh")
        || name.ends_with("-url")
        || name.ends_with("-uri")
        || name.ends_with("-path")
    {
        return path(value);
    }
    cut(value.to_owned(), LONGEST_VALUE)
}

/// A path, or an address: of its query the keys are shown, the values are not. Cut at [`LONGEST_PATH`] bytes.
#[must_use]
pub fn path(path: &str) -> String {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut text = path.to_owned();
    if let Some(query) = query {
        let keys = query
            .split('&')
            .map(|pair| pair.split_once('=').map_or(pair.to_owned(), |(key, _)| format!("{key}={MASK}")));
        text = format!("{path}?{}", keys.collect::<Vec<_>>().join("&"));
    }
    cut(text, LONGEST_PATH)
}

/// Whatever the header is called: `Bearer …`, `Basic …`, a JSON web token.
fn is_credential(value: &str) -> bool {
    let value = value.trim_start();
    let scheme = |s: &str| value.get(..s.len()).is_some_and(|v| v.eq_ignore_ascii_case(s));
    ["bearer ", "basic ", "digest ", "negotiate ", "token "].into_iter().any(scheme) || value.starts_with("eyJ")
}

/// Without breaking a character.
fn cut(mut text: String, longest: usize) -> String {
    let end = (0..=longest.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.truncate(end);
    text
}

/// Headers kept of one message; further ones are left out.
pub const MOST_HEADERS: usize = 64;
/// Bytes of a value that are shown.
const LONGEST_VALUE: usize = 256;
/// Bytes of a path that are shown.
const LONGEST_PATH: usize = 512;
const MASK: &str = "…";
/// A header whose name has one of these in it is not shown.
const SECRET: &[&str] = &[
    "auth",
    "cookie",
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "api-key",
    "apikey",
    "api_key",
    "access-key",
    "accesskey",
    "access_key",
    "private",
    "credential",
    "session",
    "signature",
    "csrf",
    "xsrf",
    "jwt",
    "saml",
    "-otp",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_is_not_shown() {
        for name in [
            "Authorization",
            "proxy-authorization",
            "Cookie",
            "set-cookie",
            "X-Api-Key",
            "x-auth-request-email",
            "x-amz-security-token",
            "X-Vault-Token",
            "client-secret",
            "x-session-id",
            "x-hub-signature-256",
            "x-csrf",
        ] {
            assert_eq!(masked(name, "value"), "…", "{name}");
        }
        for value in ["Bearer abc", "basic dXNlcjpw", " Token 12", "eyJhbGciOiJIUzI1NiJ9.e30.x"] {
            assert_eq!(masked("x-forwarded-something", value), "…", "{value}");
        }
    }

    #[test]
    fn the_rest_is_shown_and_bounded() {
        assert_eq!(masked("content-type", "text/html"), "text/html");
        assert_eq!(masked("accept", "*/*"), "*/*");
        assert_eq!(masked("referer", "https://a/b?code=1234&x"), "https://a/b?code=…&x");
        assert_eq!(masked("x-original-url", "/a?k=v"), "/a?k=…");
        assert!(masked("x-long", &"ö".repeat(1000)).len() <= LONGEST_VALUE);
    }

    #[test]
    fn values_of_a_query_are_not_shown_and_long_paths_are_cut() {
        assert_eq!(path("/a?key=secret&flag"), "/a?key=…&flag");
        assert_eq!(path("/plain"), "/plain");
        assert!(path(&format!("/{}", "ö".repeat(LONGEST_PATH))).len() <= LONGEST_PATH);
    }
}
