//! Formats, taken apart.

use super::*;

#[test]
fn istios_default_is_understood_whole() {
    let format = Format::parse(ISTIO_TEXT).unwrap();
    assert!(!format.has_nothing());
    assert_eq!(format.pieces.first(), Some(&Piece::Text("[".to_owned())));
    assert_eq!(format.pieces.last(), Some(&Piece::Op(Op::Field(Field::RouteName), None)));
    for (_, text) in ISTIO_JSON {
        assert!(!Format::parse(text).unwrap().has_nothing(), "{text}");
    }
}

#[test]
fn headers_lengths_and_percent_signs() {
    let format = Format::parse("100%% %REQ(X-Team?Host):5% %RESP(Server)%").unwrap();
    assert_eq!(
        format.pieces,
        [
            Piece::Text("100% ".to_owned()),
            Piece::Op(Op::Request("x-team".to_owned(), Some("host".to_owned())), Some(5)),
            Piece::Text(" ".to_owned()),
            Piece::Op(Op::Response("server".to_owned(), None), None),
        ]
    );
    let (mut request, mut response) = (Vec::new(), Vec::new());
    format.headers(&mut request, &mut response);
    assert_eq!(
        (request, response),
        (vec!["x-team".to_owned()], vec!["server".to_owned()]),
        "the host is in every record"
    );
}

#[test]
fn a_time_may_have_a_form() {
    let format = Format::parse("%START_TIME(%Y/%m/%dT%H:%M:%S%z)%").unwrap();
    assert_eq!(format.pieces, [Piece::Op(Op::StartTime("%Y/%m/%dT%H:%M:%S%z".to_owned()), None)]);
}

#[test]
fn what_means_nothing_here_is_told_from_what_is_wrong() {
    assert!(Format::parse("%DYNAMIC_METADATA(istio.mixer:status)%").unwrap().has_nothing());
    assert!(Format::parse("%DOWNSTREAM_TLS_CIPHER%").unwrap().has_nothing());
    for (wrong, why) in [
        ("%NOT_AN_OPERATOR%", "`%NOT_AN_OPERATOR` is no operator"),
        ("%REQ(X", "`%REQ` has no `)`"),
        ("%REQ%", "`%REQ` is no operator"),
        ("50%", "has a `%` that begins no operator"),
        ("%PROTOCOL", "does not end in `%`"),
        ("%REQ(A):x%", "has a length that is no number"),
    ] {
        let error = Format::parse(wrong).unwrap_err().to_string();
        assert!(error.contains(why), "{wrong}: {error}");
    }
    assert!(Format::parse(&"x".repeat(MAX_FORMAT + 1)).is_err());
}
