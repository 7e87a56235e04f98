//! `leno dashboard --url`, and what its API answers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Mesh;

/// A served dashboard, ended when dropped.
pub struct Dashboard {
    child: Child,
    /// `http://127.0.0.1:PORT/`.
    pub url: String,
}

impl Dashboard {
    /// Opens it.
    ///
    /// # Panics
    /// Where `leno dashboard --url` prints no address.
    #[must_use]
    pub fn open(mesh: &Mesh) -> Self {
        let mut command = mesh.command(&["dashboard", "--url", "--port", "0"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("run leno dashboard");
        let mut url = String::new();
        let out = child.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut url).expect("its address");
        assert!(url.starts_with("http://127.0.0.1:"), "`leno dashboard --url` printed `{url}`");
        Self { child, url: url.trim().to_owned() }
    }

    /// GET of `/api/v1/PATH`: status and JSON, `null` where there was none.
    ///
    /// # Panics
    /// Where nobody listens.
    #[must_use]
    pub fn get(&self, path: &str) -> (u16, Value) {
        let mut text = String::new();
        let _ = self.ask(path, Duration::from_secs(10)).read_to_string(&mut text);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// The lines of a stream that come within `limit`.
    ///
    /// # Panics
    /// Where nobody listens.
    #[must_use]
    pub fn lines(&self, path: &str, limit: Duration) -> Vec<Value> {
        let (end, mut found) = (Instant::now() + limit, Vec::new());
        let mut reader = BufReader::new(self.ask(path, Duration::from_millis(200)));
        let mut line = String::new();
        while Instant::now() < end {
            // Chunks begin with lines of their own, which are no objects.
            match reader.read_line(&mut line) {
                Ok(0) => break,
                Ok(_) => {
                    found.extend(serde_json::from_str::<Value>(line.trim()).ok().filter(Value::is_object));
                    line.clear();
                }
                Err(_) => {}
            }
        }
        found
    }

    fn ask(&self, path: &str, patience: Duration) -> TcpStream {
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(address).expect("the dashboard listens");
        stream.set_read_timeout(Some(patience)).expect("a time-out");
        let request = format!("GET /api/v1/{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("ask");
        stream
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
