use super::{headings, links};

#[test]
fn links_are_found_outside_of_code() {
    let text = "see [a](b.md) and [`f`](src/x.rs#L1)\n```\n[no](no.md)\n```\n[c](d \"title\")";
    let found: Vec<_> = links(text).iter().map(|l| (l.line, l.text.to_owned(), l.target.to_owned())).collect();
    assert_eq!(
        found,
        [
            (1, "a".to_owned(), "b.md".to_owned()),
            (1, "`f`".to_owned(), "src/x.rs#L1".to_owned()),
            (5, "c".to_owned(), "d \"title\"".to_owned()),
        ]
    );
}

#[test]
fn headings_become_fragments_as_on_github() {
    assert_eq!(headings("# Two commands\ntext\n## `leno local`: a mesh"), ["two-commands", "leno-local-a-mesh"]);
}
