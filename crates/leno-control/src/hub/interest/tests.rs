use super::*;

fn routes(key: &str) -> ResourceName {
    ResourceName::new(ResourceKind::Routes, key)
}

fn heard(listener: &Listener) -> Option<Vec<String>> {
    let news = listener.mailbox.lock().take()?;
    Some(news.names.iter().map(|name| name.key.to_string()).collect())
}

#[test]
fn only_those_who_want_it_hear_of_a_change() {
    let interest = Arc::<Interest>::default();
    let (one, two) = (interest.enter(), interest.enter());
    one.want(ResourceKind::Routes, ["a", "b"]);
    two.want(ResourceKind::Routes, ["b", "b"]);
    two.want(ResourceKind::Service, ["a"]);
    assert_eq!(interest.tell(&[routes("a")], Instant::now()), 1);
    assert_eq!(interest.tell(&[routes("c")], Instant::now()), 0);
    assert_eq!((heard(&one), heard(&two)), (Some(vec!["a".into()]), None));
    assert_eq!(interest.tell(&[routes("b"), routes("a")], Instant::now()), 2);
    assert_eq!((heard(&one), heard(&two)), (Some(vec!["a".into(), "b".into()]), Some(vec!["b".into()])));

    one.forget(ResourceKind::Routes, ["a", "never"]);
    two.forget(ResourceKind::Routes, ["b"]);
    assert_eq!(interest.tell(&[routes("b"), routes("a")], Instant::now()), 1);
    assert_eq!((heard(&one), heard(&two)), (Some(vec!["b".into()]), None));
    one.forget(ResourceKind::Routes, ["b"]);
    two.forget(ResourceKind::Service, ["a"]);
    drop((one, two));
    let state = interest.lock();
    assert!(state.mailboxes.is_empty() && state.wanted.iter().all(HashMap::is_empty), "{state:?}");
}

#[test]
fn what_comes_before_it_is_heard_is_heard_together() {
    let interest = Arc::<Interest>::default();
    let listener = interest.enter();
    listener.want(ResourceKind::Routes, ["a", "b"]);
    let first = Instant::now();
    interest.tell(&[routes("a")], first);
    interest.tell(&[routes("b"), routes("a")], first + std::time::Duration::from_secs(1));
    let news = listener.mailbox.lock().take().unwrap();
    assert_eq!(news, News { names: [routes("a"), routes("b")].into(), everything: false, at: first });
}

#[test]
fn too_many_names_are_all() {
    let interest = Arc::<Interest>::default();
    let listener = interest.enter();
    let keys: Vec<String> = (0..=MOST).map(|n| n.to_string()).collect();
    listener.want(ResourceKind::Routes, keys.iter().map(String::as_str));
    let names: Vec<_> = keys.iter().map(|key| routes(key)).collect();
    interest.tell(&names[1..], Instant::now());
    assert!(!listener.mailbox.lock().as_ref().unwrap().everything);
    interest.tell(&names[..1], Instant::now());
    assert!(listener.mailbox.lock().take().unwrap().everything);
    interest.tell(&names, Instant::now());
    assert!(listener.mailbox.lock().take().unwrap().everything);
}

#[tokio::test]
async fn a_listener_is_woken() {
    let interest = Arc::<Interest>::default();
    let listener = interest.enter();
    listener.want(ResourceKind::Routes, ["a"]);
    let waiting = tokio::spawn(async move { listener.news().await.names });
    tokio::task::yield_now().await;
    interest.tell(&[routes("a")], Instant::now());
    assert_eq!(waiting.await.unwrap(), [routes("a")].into());
}
