use super::expand;

#[test]
fn expands_as_kubernetes_does() {
    let lookup = |name: &str| match name {
        "A" => Some("1".to_owned()),
        "B" => Some("$(A)".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    for (text, want) in [
        ("$(A)", "1"),
        ("x$(A)y$(A)", "x1y1"),
        ("$(B)", "$(A)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$(A", "$(A"),
        ("$A ${A} $", "$A ${A} $"),
        ("$(EMPTY)|", "|"),
        ("", ""),
        ("ü$(A)ü", "ü1ü"),
    ] {
        assert_eq!(expand(text, lookup), want, "{text}");
    }
}
