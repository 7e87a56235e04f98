//! Expressions of Istio's documentation, and others.

use super::*;

struct Scene {
    code: Option<i64>,
}

impl Facts for Scene {
    fn attribute(&self, attribute: Attribute) -> Option<Value> {
        Some(match attribute {
            Attribute::ResponseCode => Value::Int(self.code?),
            Attribute::RequestUrlPath => Value::Text("/v1beta4/apis".to_owned()),
            Attribute::RequestMethod => Value::Text("GET".to_owned()),
            Attribute::RequestDuration => Value::Int(1_500_000_000),
            Attribute::ConnectionMtls => Value::Bool(true),
            Attribute::UpstreamWorkload => Value::Text("reviews-v2".to_owned()),
            _ => return None,
        })
    }

    fn header(&self, of: Message, name: &str) -> Option<&str> {
        (of == Message::Request && name == "x-team").then_some("blue")
    }

    fn label(&self, peer: Peer, name: &str) -> Option<&str> {
        (peer == Peer::Upstream && name == "app").then_some("reviews")
    }
}

fn eval(text: &str) -> Option<Value> {
    Program::parse(text).unwrap_or_else(|e| panic!("{text} {e}")).eval(&Scene { code: Some(503) })
}

#[test]
fn comparisons_and_logic() {
    for text in [
        "response.code >= 400",
        "response.code >= 500 && response.code < 600",
        "!(response.code == 200)",
        "connection.mtls",
        "connection.mtls && request.url_path.contains('v1beta4')",
        "request.url_path.startsWith(\"/v1\") || false",
        "request.headers['X-Team'] == 'blue'",
        "request.headers['x-team'].matches('^b[lm]ue$')",
        "request.method in ['GET', 'HEAD']",
        "has(request.headers['x-team']) && !has(request.headers['x-nobody'])",
        "request.duration > duration('1s')",
        "size(request.method) == 3",
        "upstream_peer.labels['app'] == 'reviews'",
        "filter_state.upstream_peer.workload.endsWith('-v2')",
        "-1 < 0",
    ] {
        assert_eq!(eval(text), Some(Value::Bool(true)), "{text}");
    }
}

#[test]
fn labels_are_made_of_texts() {
    assert_eq!(eval("has(response.code) ? string(response.code) : 'none'"), Some(Value::Text("503".to_owned())));
    assert_eq!(eval("request.method + ' ' + request.url_path").unwrap().show(), "GET /v1beta4/apis");
    assert_eq!(eval("int('7') + 1"), Some(Value::Int(8)));
}

#[test]
fn what_a_request_does_not_have_is_unknown_unless_the_other_side_decides() {
    let scene = Scene { code: None };
    let holds = |text: &str| Program::parse(text).unwrap().eval(&scene);
    assert_eq!(holds("response.code >= 400"), None);
    assert_eq!(holds("response.code >= 400 && false"), Some(Value::Bool(false)));
    assert_eq!(holds("response.code >= 400 || connection.mtls"), Some(Value::Bool(true)));
    assert_eq!(holds("!has(response.code) || response.code >= 400"), Some(Value::Bool(true)));
    assert!(!Program::parse("response.code >= 400").unwrap().holds(&scene), "an unknown filter keeps nothing");
    assert_eq!(eval("response.code == '503'"), None, "a number is no text");
}

#[test]
fn what_is_not_honoured_is_named() {
    for (text, why) in [
        ("xds.node.metadata['NAME'] == 'x'", "`xds.node.metadata['NAME']`"),
        ("request.time > 1", "`request.time`"),
        ("request.method.reverse('x')", "`reverse()`"),
        ("timestamp('x')", "`timestamp()`"),
        ("response.code >=", "ends where a value should be"),
        ("(true", "ends where `)` should be"),
        ("true true", "where it should end"),
        ("'open", "does not end"),
        ("response.code % 2 == 0", "`%`"),
        ("request.method.matches('(')", "no regular expression"),
    ] {
        let error = Program::parse(text).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn depth_and_length_are_bounded() {
    assert!(Program::parse(&format!("{}true{}", "(".repeat(MAX_DEPTH + 1), ")".repeat(MAX_DEPTH + 1))).is_err());
    assert!(Program::parse(&"!".repeat(MAX_DEPTH + 1)).is_err());
    assert!(Program::parse(&["true"; 2 * MAX_DEPTH].join(" && ")).is_err());
    assert!(Program::parse(&" ".repeat(MAX_LENGTH + 1)).is_err());
    assert!(Program::parse(&["true"; MAX_DEPTH].join(" && ")).is_ok());
}

#[test]
fn the_headers_that_an_expression_reads_are_known() {
    let (mut request, mut response) = (Vec::new(), Vec::new());
    let text = "request.headers['X-A'] == response.headers['b'] || has(request.headers['x-a'])";
    Program::parse(text).unwrap().headers(&mut request, &mut response);
    assert_eq!((request, response), (vec!["x-a".to_owned()], vec!["b".to_owned()]));
}
