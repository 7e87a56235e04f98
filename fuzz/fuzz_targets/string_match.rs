//! Patterns, rewrites, queries and host wildcards on any text.
#![no_main]

use leno_core::decide::route::{apply_rewrite, authority_without_port, query_parameter, sni_matches};
use leno_core::model::route::{HttpMatch, Rewrite};
use leno_core::model::{Pattern, StringMatch};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, &str)| {
    let (pattern, value, substitution) = input;
    let mut conditions = vec![StringMatch::Exact(pattern.to_owned()), StringMatch::Prefix(pattern.to_owned())];
    // Large repetitions are bounded by the compiler's size limit but slow the fuzzer.
    if pattern.len() < 64 && !pattern.contains('{') {
        if let Ok(compiled) = Pattern::new(pattern) {
            let _ = compiled.rewrite(value, substitution);
            conditions.push(StringMatch::Regex(compiled));
        }
    }
    for condition in conditions {
        let exact = condition.matches(value);
        if !matches!(condition, StringMatch::Regex(_)) {
            assert!(!exact || condition.matches_ignoring_case(value), "ignoring case takes more, never less");
        }
        let matched = HttpMatch { uri: Some(condition), ..HttpMatch::default() };
        let rewrite = Rewrite { uri: Some(substitution.to_owned()), ..Rewrite::default() };
        assert!(apply_rewrite(value, &rewrite, Some(&matched)).starts_with('/'));
    }
    let _ = query_parameter(value, pattern);
    let _ = sni_matches(pattern, value);
    let _ = authority_without_port(value, 80);
});
