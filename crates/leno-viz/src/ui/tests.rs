use super::*;

fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
}

#[test]
fn words_in_lists() {
    let accept = |text| headers(&[(header::ACCEPT_ENCODING, text)]);
    assert!(names(&accept("gzip, deflate, br"), header::ACCEPT_ENCODING, "br"));
    assert!(names(&accept("br;q=0.5"), header::ACCEPT_ENCODING, "br"));
    assert!(!names(&accept("br;q=0, gzip"), header::ACCEPT_ENCODING, "br"));
    assert!(!names(&accept("brotli"), header::ACCEPT_ENCODING, "br"));
    assert!(!names(&HeaderMap::new(), header::ACCEPT_ENCODING, "gzip"));
    let known = headers(&[(header::IF_NONE_MATCH, "W/\"a\", \"b\"")]);
    assert!(names(&known, header::IF_NONE_MATCH, "\"a\"") && names(&known, header::IF_NONE_MATCH, "\"b\""));
}

#[test]
fn the_page_or_a_word_that_it_is_not_built() {
    let answer = page(&HeaderMap::new());
    let built = if ASSETS.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    assert_eq!(answer.status(), built);
    assert!(answer.headers().contains_key(header::CONTENT_SECURITY_POLICY));
    assert_eq!(file("no-such-file", &HeaderMap::new()).status(), StatusCode::NOT_FOUND);
}

#[test]
fn every_file_comes_compressed_and_is_not_sent_twice() {
    for asset in ASSETS {
        let zipped = file(asset.name, &headers(&[(header::ACCEPT_ENCODING, "gzip")]));
        assert_eq!(zipped.headers()[header::CONTENT_ENCODING], "gzip", "{}", asset.name);
        let again = file(asset.name, &headers(&[(header::IF_NONE_MATCH, asset.etag)]));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{}", asset.name);
    }
}
