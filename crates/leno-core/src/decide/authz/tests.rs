use std::net::IpAddr;

use proptest::prelude::*;

use super::{AuthzFacts, AuthzVerdict, DenyReason, HttpFacts, applicable, audited, authorize, normalize_path};
use crate::id::{Origin, SpiffeId};
use crate::model::authz::{AuthzCondition, AuthzOperation, AuthzRule, AuthzSource, Values};
use crate::model::{AuthorizationPolicy, AuthzAction, Labels, Policies};

use AuthzAction::{Allow, Audit, Deny};

fn policy(name: &str, action: AuthzAction, rules: Vec<AuthzRule>) -> AuthorizationPolicy {
    let origin = Origin { name: name.into(), namespace: "shop".into(), ..Origin::default() };
    AuthorizationPolicy { origin, selector: Labels::new(), action, rules }
}

fn any(values: &[&str]) -> Values {
    Values { any: values.iter().map(|v| (*v).to_owned()).collect(), not: vec![] }
}

fn not(values: &[&str]) -> Values {
    Values { any: vec![], not: values.iter().map(|v| (*v).to_owned()).collect() }
}

fn from(source: AuthzSource) -> AuthzRule {
    AuthzRule { from: vec![source], ..AuthzRule::default() }
}

fn to(operation: AuthzOperation) -> AuthzRule {
    AuthzRule { to: vec![operation], ..AuthzRule::default() }
}

fn when(key: &str, values: Values) -> AuthzRule {
    AuthzRule { when: vec![AuthzCondition { key: key.into(), values }], ..AuthzRule::default() }
}

fn paths(values: Values) -> AuthzRule {
    to(AuthzOperation { paths: values, ..AuthzOperation::default() })
}

const HEADERS: &[(&str, &str); 1] = &[("x-token", "abc")];

fn http<'a>(path: &'a str) -> Option<HttpFacts<'a>> {
    Some(HttpFacts { method: "GET", path, host: "Web.shop:8080", headers: HEADERS })
}

fn facts<'a>(peer: Option<&'a SpiffeId>, http: Option<HttpFacts<'a>>) -> AuthzFacts<'a> {
    let ip = |s: &str| s.parse::<IpAddr>().unwrap();
    AuthzFacts {
        peer,
        source_ip: ip("10.244.0.9"),
        destination_ip: ip("10.244.0.5"),
        destination_port: 8080,
        sni: None,
        http,
    }
}

fn ui() -> SpiffeId {
    SpiffeId::new("cluster.local", "front", "ui")
}

fn passes(policies: &[AuthorizationPolicy], facts: &AuthzFacts<'_>) -> bool {
    matches!(authorize(policies, facts), AuthzVerdict::Allow { .. })
}

/// Whether a rule matches a GET of /a by `ui`, seen from an ALLOW policy.
fn grants(rule: AuthzRule) -> bool {
    passes(&[policy("p", Allow, vec![rule])], &facts(Some(&ui()), http("/a")))
}

#[test]
fn without_policies_everything_passes() {
    assert_eq!(authorize(&[], &facts(None, http("/"))), AuthzVerdict::Allow { by: None });
    let audit = [policy("a", Audit, vec![AuthzRule::default()])];
    assert_eq!(authorize(&audit, &facts(None, http("/"))), AuthzVerdict::Allow { by: None });
    assert_eq!(audited(&audit, &facts(None, http("/"))), [&audit[0].origin]);
}

#[test]
fn deny_goes_before_allow_and_says_which_rule() {
    let all = [
        policy("allow", Allow, vec![AuthzRule::default()]),
        policy("deny", Deny, vec![paths(any(&["/x"])), paths(any(&["/admin*"]))]),
    ];
    assert_eq!(
        authorize(&all, &facts(None, http("/admin/1"))),
        AuthzVerdict::Deny { by: Some(&all[1].origin), rule: Some(1), why: DenyReason::Denied }
    );
    assert_eq!(authorize(&all, &facts(None, http("/ok"))), AuthzVerdict::Allow { by: Some(&all[0].origin) });
}

#[test]
fn with_an_allow_policy_what_does_not_match_is_denied() {
    let one = [policy("a", Allow, vec![paths(any(&["/a"]))])];
    let verdict = authorize(&one, &facts(None, http("/b")));
    assert_eq!(verdict, AuthzVerdict::Deny { by: Some(&one[0].origin), rule: None, why: DenyReason::NotAllowed });
    let nothing = [policy("none", Allow, vec![]), policy("also", Allow, vec![])];
    let verdict = authorize(&nothing, &facts(None, http("/b")));
    assert_eq!(verdict, AuthzVerdict::Deny { by: None, rule: None, why: DenyReason::NotAllowed });
    assert!(passes(&[policy("deny nothing", Deny, vec![])], &facts(None, http("/b"))));
}

#[test]
fn sources_are_told_by_identity_and_address() {
    let source = AuthzSource::default;
    for (expected, s) in [
        (true, AuthzSource { principals: any(&["cluster.local/ns/front/sa/ui"]), ..source() }),
        (true, AuthzSource { principals: any(&["*"]), ..source() }),
        (true, AuthzSource { principals: any(&["*/sa/ui"]), ..source() }),
        (false, AuthzSource { principals: any(&["cluster.local/ns/front/sa/u"]), ..source() }),
        (false, AuthzSource { principals: not(&["*/ns/front/*", "*/sa/ui"]), ..source() }),
        (true, AuthzSource { namespaces: any(&["back", "fr*"]), ..source() }),
        (false, AuthzSource { namespaces: not(&["front"]), ..source() }),
        (true, AuthzSource { accounts: any(&["front/ui"]), ..source() }),
        (false, AuthzSource { accounts: any(&["ui"]), ..source() }),
        (true, AuthzSource { ip_blocks: vec!["10.244.0.0/24".parse().unwrap()], ..source() }),
        (false, AuthzSource { not_ip_blocks: vec!["10.244.0.0/24".parse().unwrap()], ..source() }),
        (
            false,
            AuthzSource { namespaces: any(&["front"]), ip_blocks: vec!["10.0.0.0/24".parse().unwrap()], ..source() },
        ),
    ] {
        assert_eq!(grants(from(s.clone())), expected, "{s:?}");
    }
}

#[test]
fn plaintext_has_no_identity() {
    let nobody = facts(None, http("/a"));
    for s in [
        AuthzSource { principals: any(&["*"]), ..AuthzSource::default() },
        AuthzSource { namespaces: any(&["*"]), ..AuthzSource::default() },
    ] {
        assert!(!passes(&[policy("p", Allow, vec![from(s)])], &nobody));
    }
    let not_front = AuthzSource { namespaces: not(&["front"]), ..AuthzSource::default() };
    assert!(!passes(&[policy("p", Deny, vec![from(not_front)])], &nobody), "a DENY of all others takes it");
}

#[test]
fn operations_are_told_by_host_port_method_and_path() {
    let op = AuthzOperation::default;
    for (expected, o) in [
        (true, AuthzOperation { hosts: any(&["web.shop"]), ..op() }),
        (true, AuthzOperation { hosts: any(&["*.SHOP"]), ..op() }),
        (true, AuthzOperation { hosts: any(&["web.shop:8080"]), ..op() }),
        (false, AuthzOperation { hosts: any(&["web"]), ..op() }),
        (true, AuthzOperation { ports: any(&["80", "8080"]), ..op() }),
        (false, AuthzOperation { ports: not(&["8080"]), ..op() }),
        (true, AuthzOperation { methods: any(&["GET"]), ..op() }),
        (false, AuthzOperation { methods: any(&["get"]), ..op() }),
        (true, AuthzOperation { paths: any(&["/a*"]), methods: not(&["POST"]), ..op() }),
        (false, AuthzOperation { paths: not(&["/a"]), ..op() }),
        (true, AuthzOperation { paths: any(&["/{*}"]), ..op() }),
        (false, AuthzOperation { paths: any(&["/{*}/b"]), ..op() }),
    ] {
        assert_eq!(grants(to(o.clone())), expected, "{o:?}");
    }
}

#[test]
fn conditions_all_must_hold() {
    for (expected, key, values) in [
        (true, "request.headers[X-Token]", any(&["ab*"])),
        (false, "request.headers[x-other]", any(&["*"])),
        (true, "request.headers[x-other]", not(&["*"])),
        (true, "source.ip", any(&["10.244.0.0/16"])),
        (true, "source.ip", any(&["10.244.0.9"])),
        (false, "source.ip", any(&["10.244.0.8", "nonsense"])),
        (true, "source.namespace", any(&["front"])),
        (true, "source.principal", any(&["*/sa/ui"])),
        (true, "source.serviceAccount", any(&["front/ui"])),
        (true, "destination.ip", any(&["10.244.0.5"])),
        (false, "destination.port", any(&["80"])),
        (false, "connection.sni", any(&["*"])),
        (false, "request.auth.claims[iss]", any(&["*"])),
        (false, "unknown", not(&["x"])),
    ] {
        assert_eq!(grants(when(key, values)), expected, "{key}");
    }
    let both = AuthzRule {
        when: vec![
            AuthzCondition { key: "source.namespace".into(), values: any(&["front"]) },
            AuthzCondition { key: "destination.port".into(), values: any(&["1"]) },
        ],
        ..AuthzRule::default()
    };
    assert!(!grants(both));
}

#[test]
fn an_unknown_condition_denies() {
    let deny = [policy("d", Deny, vec![when("request.auth.claims[iss]", any(&["x"]))])];
    assert!(!passes(&deny, &facts(Some(&ui()), http("/"))));
}

#[test]
fn what_only_a_request_can_meet_never_allows_an_opaque_connection_and_never_saves_it_from_a_deny() {
    let opaque = facts(None, None);
    let get = || to(AuthzOperation { methods: any(&["GET"]), ..AuthzOperation::default() });
    let not_get = || to(AuthzOperation { methods: not(&["GET"]), ..AuthzOperation::default() });
    for rule in [get(), not_get(), when("request.headers[x]", any(&["*"])), when("request.headers[x]", not(&["*"]))] {
        assert!(!passes(&[policy("a", Allow, vec![rule.clone()])], &opaque), "{rule:?}");
        assert!(!passes(&[policy("d", Deny, vec![rule.clone()])], &opaque), "{rule:?}");
    }
    let on_port =
        |port: &str| to(AuthzOperation { methods: any(&["GET"]), ports: any(&[port]), ..AuthzOperation::default() });
    assert!(!passes(&[policy("d", Deny, vec![on_port("8080")])], &opaque));
    assert!(passes(&[policy("d", Deny, vec![on_port("9")])], &opaque), "but the port still counts");
    let port = to(AuthzOperation { ports: any(&["8080"]), ..AuthzOperation::default() });
    assert!(passes(&[policy("a", Allow, vec![port])], &opaque));
}

#[test]
fn paths_are_normalised_as_istios_base_does() {
    for (path, expected) in [
        ("/a/b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/./b/.", "/a/b/"),
        ("/a/b/..", "/a/"),
        ("/../../x", "/x"),
        ("/%61dmin", "/admin"),
        ("/x/%2e%2E/admin", "/admin"),
        ("/%252e/x", "/%252e/x"),
        ("\\da\\x", "/da/x"),
        ("/a//b", "/a//b"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a%zz%4", "/a%zz%4"),
        ("/a?x=/../b", "/a"),
        ("/.hidden", "/.hidden"),
        ("/%C3%A9", "/%C3%A9"),
        ("*", "*"),
        ("", ""),
        ("http://web.shop/a/../b?c", "/b"),
        ("http://web.shop", "/"),
        ("/r/http://x/y", "/r/http://x/y"),
    ] {
        assert_eq!(normalize_path(path).as_deref(), Ok(expected), "{path}");
    }
    for bad in ["/a\0", "/a%00", "/a#b"] {
        assert!(normalize_path(bad).is_err(), "{bad}");
    }
}

/// Ways to spell /admin that some server or other takes for it.
const SPELLINGS: [&str; 18] = [
    "/admin",
    "/admin?x",
    "//admin",
    "/./admin",
    "/x/../admin",
    "/x/%2e%2e/admin",
    "/%61dmin",
    "/x/..%2fadmin",
    "/x%2f..%2fadmin",
    "/x/%2e%2e%2fadmin",
    "/x/..%5cadmin",
    "\\admin",
    "/%2fadmin",
    "/x//../admin",
    "/x/..//admin",
    "///x///..///admin",
    "http://web/admin",
    "/admin#x",
];

#[test]
fn no_spelling_of_a_path_passes_by_a_deny() {
    let deny = [policy("d", Deny, vec![paths(any(&["/admin"]))])];
    let others = [policy("d", Deny, vec![paths(not(&["/public/*"]))])];
    for path in SPELLINGS {
        assert!(!passes(&deny, &facts(None, http(path))), "{path}");
        assert!(!passes(&others, &facts(None, http(path))), "{path}");
    }
    assert!(passes(&deny, &facts(None, http("/public/admin"))));
    assert!(passes(&others, &facts(None, http("/public/x"))));
}

#[test]
fn no_spelling_of_a_path_sneaks_in_by_an_allow() {
    let public = [policy("a", Allow, vec![paths(any(&["/public/*"]))])];
    let not_admin = [policy("a", Allow, vec![paths(not(&["/admin*"]))])];
    for path in SPELLINGS {
        assert!(!passes(&not_admin, &facts(None, http(path))), "{path}");
        let under = format!("/public{}", path.replace("/x", "").replace("..", "../.."));
        let escapes = under.contains("..");
        assert!(!(escapes && passes(&public, &facts(None, http(&under)))), "{under}");
    }
    for path in
        ["/public/..%2fadmin", "/public/../admin", "/public/%2e%2e/admin", "/public//../../admin", "/public/..\\admin"]
    {
        assert!(!passes(&public, &facts(None, http(path))), "{path}");
    }
    assert!(passes(&public, &facts(None, http("/public//x"))), "harmless spellings pass");
    assert!(passes(&public, &facts(None, http("/public/a%2Fb"))));
}

#[test]
fn a_value_written_with_encoded_slashes_speaks_of_the_path_as_it_came() {
    let exact = [policy("a", Allow, vec![paths(any(&["/buckets/a%2Fb"]))])];
    assert!(passes(&exact, &facts(None, http("/buckets/a%2Fb"))));
    assert!(!passes(&exact, &facts(None, http("/buckets/a/b"))));
}

#[test]
fn templates_stand_for_segments() {
    for (template, path, expected) in [
        ("/foo/{*}", "/foo/bar", true),
        ("/foo/{*}", "/foo/", false),
        ("/foo/{*}", "/foo/bar/baz", false),
        ("/{*}/bar", "/foo/bar", true),
        ("/foo/{**}", "/foo/a/b/c", true),
        ("/foo/{**}", "/foo/", true),
        ("/foo/{**}", "/foo", false),
        ("/foo/{**}/end", "/foo/a/end/b/end", true),
        ("/foo/{**}/end", "/foo/a/end/b", false),
        ("/foo/{*}/bar/{**}", "/foo/x/bar/y/z", true),
    ] {
        let p = [policy("a", Allow, vec![paths(any(&[template]))])];
        assert_eq!(passes(&p, &facts(None, http(path))), expected, "{template} {path}");
    }
}

#[test]
fn policies_hold_in_their_namespace_and_those_of_the_root_everywhere() {
    let web = Labels::from([("app".into(), "web".into())]);
    let selecting = |name: &str, app: &str| AuthorizationPolicy {
        selector: Labels::from([("app".into(), app.into())]),
        ..policy(name, Deny, vec![])
    };
    let of = |ns: &str, authorization| Policies { namespace: ns.into(), authorization, ..Policies::default() };
    let own = of("shop", vec![policy("own", Deny, vec![]), selecting("web", "web"), selecting("api", "api")]);
    let root = of("istio-system", vec![policy("root", Deny, vec![]), selecting("root-web", "web")]);
    let other = of("other", vec![policy("other", Deny, vec![])]);
    let names: Vec<_> =
        applicable(&[&own, &root, &other], "shop", &web, "istio-system").map(|p| p.origin.name.as_str()).collect();
    assert_eq!(names, ["own", "web", "root", "root-web"]);
}

proptest! {
    #[test]
    fn normalising_is_idempotent_and_never_panics(path in "(/|\\\\|\\.|%2e|%2F|%5c|%41|%|a|é|\\?){0,16}") {
        if let Ok(once) = normalize_path(&path) {
            let twice = normalize_path(&once).map(std::borrow::Cow::into_owned);
            prop_assert_eq!(twice.as_deref(), Ok(&*once));
        }
    }

    #[test]
    fn whatever_a_deny_lets_by_an_allow_of_the_same_does_not_take(
        path in "/(/|\\\\|\\.|\\.\\.|%2e|%2F|%5c|a|b){0,10}", value in "(/[ab]{0,2}\\*?|/a/b|/\\{\\*\\}|\\*b)",
    ) {
        // What is allowed must match in every reading, what is denied in any: never allowed and not denied at once.
        let request = facts(None, http(&path));
        let allowed = passes(&[policy("a", Allow, vec![paths(any(&[&value]))])], &request);
        let let_by = passes(&[policy("d", Deny, vec![paths(any(&[&value]))])], &request);
        prop_assert!(!(allowed && let_by));
    }
}
