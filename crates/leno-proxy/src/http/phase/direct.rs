//! Phase 3: rules that answer by themselves: redirects, direct responses, CORS preflights.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
};
use http::{HeaderName, HeaderValue};
use leno_core::Reason;
use leno_core::decide::{cors, route as decide};
use leno_core::model::route::{Cors, RouteAction};

use super::route::{Chosen, with_facts};
use crate::http::body::{Fields, Head};
use crate::http::heads;
use crate::http::reply::Reply;
use crate::outbound::Outbound;

/// Answers a CORS preflight of an allowed origin.
///
/// # Errors
/// The answer, where the rule has a CORS policy and the request is such a preflight.
pub fn preflight(chosen: &Chosen, request: &Head) -> Result<(), Reply> {
    let Some(policy) = chosen.rule().and_then(|r| r.cors.as_ref()) else { return Ok(()) };
    let headers = &request.headers;
    let origin = heads::text(headers, &ORIGIN);
    let asks_method = headers.contains(ACCESS_CONTROL_REQUEST_METHOD);
    if !cors::answers_preflight(policy, request.method.as_str(), asks_method, origin) {
        return Ok(());
    }
    let mut reply = Reply::new(Reason::CorsPreflight, "");
    // Of an origin that is not let in the browser hears nothing that would let it go on.
    if !cors::allows(policy, origin) {
        return Err(reply);
    }
    allow_origin(policy, origin, &mut reply.headers);
    // What the browser asks for is what `*` allows: with credentials a browser takes no `*` for an answer.
    let list = |name: HeaderName, values: &[String], asked: HeaderName, reply: &mut Fields| {
        let value = match values {
            [] => None,
            values if values.iter().any(|v| v == "*") => headers.get(asked).cloned(),
            values => HeaderValue::try_from(values.join(",")).ok(),
        };
        if let Some(value) = value {
            reply.insert(name, value);
        }
    };
    list(ACCESS_CONTROL_ALLOW_METHODS, &policy.allow_methods, ACCESS_CONTROL_REQUEST_METHOD, &mut reply.headers);
    list(ACCESS_CONTROL_ALLOW_HEADERS, &policy.allow_headers, ACCESS_CONTROL_REQUEST_HEADERS, &mut reply.headers);
    if let Some(age) = policy.max_age {
        reply.headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(age.as_secs()));
    }
    Err(reply)
}

/// Adds what a browser must see on the answer to an allowed origin.
pub fn cors_headers(chosen: &Chosen, request: &Fields, response: &mut Fields) {
    let Some(policy) = chosen.rule().and_then(|r| r.cors.as_ref()) else { return };
    let origin = heads::text(request, &ORIGIN);
    if !cors::allows(policy, origin) {
        return;
    }
    allow_origin(policy, origin, response);
    if let (false, Ok(value)) =
        (policy.expose_headers.is_empty(), HeaderValue::try_from(policy.expose_headers.join(",")))
    {
        response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, value);
    }
}

/// Answers where the rule does.
///
/// # Errors
/// The answer.
pub fn answer(chosen: &Chosen, from: &Outbound, request: &Head) -> Result<(), Reply> {
    let Some(rule) = chosen.rule() else { return Ok(()) };
    let mut reply = match &rule.action {
        RouteAction::Forward(_) => return Ok(()),
        RouteAction::Redirect(redirect) => {
            let location =
                with_facts(from, request, |facts| decide::redirect_location(redirect, facts, chosen.matched()));
            let status = if redirect.status == 0 { 301 } else { redirect.status };
            Reply::new(Reason::Redirected, "").with_status(status).with_location(&location)
        }
        RouteAction::Respond { status, body } => {
            let mut reply = Reply::new(Reason::DirectResponse, "").with_status(*status);
            reply.body = Some(body.clone());
            reply
        }
    };
    heads::edit(&mut reply.headers, &rule.headers.response);
    Err(reply)
}

fn allow_origin(cors: &Cors, origin: &str, headers: &mut Fields) {
    if let Ok(value) = HeaderValue::try_from(origin) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, value);
    }
    if cors.allow_credentials == Some(true) {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}
