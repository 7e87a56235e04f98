//! The HTTP/2 server under h2spec, all of it, the strict part too. `scripts/need.sh test` builds it.

use std::path::PathBuf;
use std::process::Stdio;

use leno_kit::Drain;
use leno_proxy::http::{Body, Request, Response, serve};
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_h2spec_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let port = listener.local_addr().expect("its address").port().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // As most servers do: the request first, as a whole.
            let answer = |request: Request| async {
                let _ = request.body.collect().await;
                Response::new(Body::whole("conforming"))
            };
            tokio::spawn(serve::http2(stream, Drain::never(), std::future::pending(), answer));
        }
    });
    let mut h2spec = tokio::process::Command::new(program());
    h2spec.args(["-h", "127.0.0.1", "-p", &port, "--strict", "-o", "2"]).stdin(Stdio::null()).kill_on_drop(true);
    let output = h2spec.output().await.expect("h2spec runs: scripts/need.sh test builds it");
    let text = String::from_utf8_lossy(&output.stdout);
    let failures = text.split("Failures:").nth(1).unwrap_or_default();
    assert!(output.status.success(), "{failures}{}", text.lines().last().unwrap_or_default());
    let summary = text.lines().find(|l| l.contains("tests,")).unwrap_or_default();
    assert!(summary.contains("0 failed") && !summary.starts_with("0 tests"), "{summary}");
    println!("{summary}");
}

fn program() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME")).join(".cache/leno");
    std::env::var_os("LENO_CACHE").map_or_else(home, PathBuf::from).join("bin/h2spec")
}
