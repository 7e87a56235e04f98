//! Which of several matches goes first.

use leno_core::model::StringMatch;
use leno_core::model::route::HttpMatch;

/// The place of a match among all matches of a service, whichever rule and route it is of: the greater goes first.
///
/// The order is the Gateway API's. Of an `HTTPRoute`: an exact path, then the longest prefix, then one with a method, then the
/// most headers, then the most query parameters. Of a `GRPCRoute`: the longest service, then the longest method, then the
/// most headers. The API leaves patterns to us: a path's pattern goes after exact paths and before prefixes, since the
/// prefix `/` stands wherever a rule says nothing of paths and would hide every pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence {
    kind: PathKind,
    /// Characters of the path or of the gRPC service.
    length: usize,
    /// Of HTTP whether there is a method (1), of gRPC its characters.
    method: usize,
    headers: usize,
    query: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum PathKind {
    #[default]
    Prefix,
    Pattern,
    Exact,
}

impl Precedence {
    /// Of a match of an `HTTPRoute`.
    pub(super) fn of_http(m: &HttpMatch) -> Self {
        let (kind, length) = match &m.uri {
            Some(StringMatch::Exact(path)) => (PathKind::Exact, path.len()),
            Some(StringMatch::Regex(pattern)) => (PathKind::Pattern, pattern.source().len()),
            Some(StringMatch::Prefix(path)) => (PathKind::Prefix, path.len()),
            Some(StringMatch::Present) | None => (PathKind::Prefix, 0),
        };
        Self { kind, length, method: m.method.is_some().into(), headers: m.headers.len(), query: m.query.len() }
    }

    /// Of a match of a `GRPCRoute`.
    pub(super) const fn of_grpc(service: usize, method: usize, headers: usize) -> Self {
        Self { kind: PathKind::Prefix, length: service, method, headers, query: 0 }
    }
}
