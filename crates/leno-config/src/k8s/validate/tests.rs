use super::{is_dns_label, is_dns_subdomain, is_label_word, is_port_name};

#[test]
fn names() {
    assert!(is_dns_label("a-1") && is_dns_label("1") && is_dns_label(&"a".repeat(63)));
    for bad in ["", "-a", "a-", "A", "a.b", "a_b", "ü"] {
        assert!(!is_dns_label(bad), "{bad}");
    }
    assert!(!is_dns_label(&"a".repeat(64)));
    assert!(is_dns_subdomain("a.b-c.d") && !is_dns_subdomain("a..b") && !is_dns_subdomain(&"a".repeat(254)));
    assert!(is_label_word("v1.2_x") && !is_label_word("-a") && !is_label_word("a/b"));
    assert!(
        is_port_name("http-web") && !is_port_name("8080") && !is_port_name("a--b") && !is_port_name("sixteen-letters-")
    );
}
