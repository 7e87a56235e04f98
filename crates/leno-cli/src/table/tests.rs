use super::{Look, Screen, Table, shorten};

fn table() -> Table {
    let mut table = Table::new(&["NAME", ">RPS", "NOTE"]);
    table.row(vec!["web".into(), "1.5".into(), "".into()]);
    table.row(vec!["catalog-v1-5d4f8b7c9d-x2x4z".into(), "120.0".into(), "canary".into()]);
    table
}

#[test]
fn columns_are_aligned_and_no_line_ends_in_a_space() {
    let expected = "NAME                           RPS  NOTE\n\
                    web                            1.5\n\
                    catalog-v1-5d4f8b7c9d-x2x4z  120.0  canary\n";
    assert_eq!(table().render(&Screen::default()), expected);
}

#[test]
fn a_narrow_terminal_shortens_names_in_the_middle_and_numbers_never() {
    let screen = Screen { width: Some(30), ..Screen::default() };
    let text = table().render(&screen);
    assert!(text.lines().all(|l| l.chars().count() <= 30), "{text}");
    assert!(text.contains("catalo…2x4z") || text.contains("…"), "{text}");
    assert!(text.contains("120.0"), "{text}");
}

#[test]
fn colour_is_only_where_it_is_wanted() {
    assert_eq!(Screen::default().paint("x", Look::Bad), "x");
    let coloured = Screen { colour: true, ..Screen::default() };
    assert_eq!(coloured.paint("x", Look::Good), "\x1b[32mx\x1b[0m");
    assert_eq!(coloured.paint(" ", Look::Good), " ");
}

#[test]
fn both_ends_of_a_long_name_stay() {
    assert_eq!(shorten("abcdefgh", 5), "ab…gh");
    assert_eq!(shorten("abc", 5), "abc");
}
