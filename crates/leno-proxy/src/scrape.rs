//! The application's own metrics, fetched from inside of the pod and shown behind the proxy's.
//!
//! Whoever may scrape the proxy may see them: the pod asks for that by its annotation `prometheus.io/scrape`. A STRICT pod
//! is scraped too, as nobody from outside dials the application.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use leno_core::names::port;
use leno_kit::sock;
use serde::Deserialize;

/// Longest text that is taken of an application, bytes.
const LONGEST: usize = 16 * 1024 * 1024;
/// How long an application may take: less than a scraper's ten seconds.
const PATIENCE: Duration = Duration::from_secs(8);

/// Where the application shows its metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppMetrics {
    port: u16,
    path: String,
}

#[derive(Deserialize)]
struct Raw {
    scrape: Option<String>,
    port: Option<String>,
    path: Option<String>,
}

impl AppMetrics {
    /// Reads the pod's annotations as the injector tells them, in Istio's form: `{"scrape":"true","port":"9090","path":"/m"}`.
    /// `None` = the application is not to be scraped.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn read(text: &str) -> Result<Option<Self>, String> {
        let raw: Raw = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if raw.scrape.as_deref() != Some("true") {
            return Ok(None);
        }
        // Istio's defaults.
        let number = raw.port.unwrap_or_else(|| "80".to_owned());
        let number: u16 = number.parse().map_err(|_| format!("prometheus.io/port: `{number}` is not a port"))?;
        if [0, port::STATUS, port::METRICS].contains(&number) {
            return Err(format!("prometheus.io/port: {number} is not the application's"));
        }
        let path = raw.path.unwrap_or_else(|| "/metrics".to_owned());
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        path.parse::<http::Uri>().map_err(|e| format!("prometheus.io/path: `{path}`: {e}"))?;
        Ok(Some(Self { port: number, path }))
    }

    /// The application's text, in Prometheus' text format.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub async fn fetch(&self, pod: IpAddr, mark: Option<u32>) -> Result<String, String> {
        let address = SocketAddr::new(pod, self.port);
        match tokio::time::timeout(PATIENCE, self.exchange(address, mark)).await {
            Ok(text) => text,
            Err(_) => Err(format!("{address} did not answer within {} s", PATIENCE.as_secs())),
        }
    }

    async fn exchange(&self, address: SocketAddr, mark: Option<u32>) -> Result<String, String> {
        let stream = sock::connect(address, mark).await.map_err(|e| format!("connecting to {address}: {e}"))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        let task = tokio::spawn(async move {
            let _ = connection.await;
        });
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = self.path.parse().map_err(|_| format!("`{}` is no path", self.path))?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::try_from(address.to_string()).map_err(|e| e.to_string())?);
        headers.insert(ACCEPT, HeaderValue::from_static("text/plain;version=0.0.4"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("leno-proxy/", env!("CARGO_PKG_VERSION"))));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let answer = sender.send_request(request).await.map_err(|e| format!("{address}: {e}"))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await.map_err(|e| format!("{address}: {e}"));
        task.abort();
        if !status.is_success() {
            return Err(format!("{address}{} answered {status}", self.path));
        }
        let text =
            String::from_utf8(body?.to_bytes().into()).map_err(|_| format!("{address} answered what is no text"))?;
        Ok(ended(text))
    }
}

/// With a newline at its end, and without the end mark of OpenMetrics, which some send unasked.
fn ended(text: String) -> String {
    let cut = text.trim_end().strip_suffix("# EOF").map(|t| format!("{}\n", t.trim_end()));
    let mut text = cut.unwrap_or(text);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_read_with_istios_defaults() {
        let of = |text: &str| AppMetrics::read(text);
        assert_eq!(of(r#"{"scrape":"true"}"#), Ok(Some(AppMetrics { port: 80, path: "/metrics".to_owned() })));
        let own = AppMetrics { port: 9090, path: "/m?x=1".to_owned() };
        assert_eq!(of(r#"{"scrape":"true","port":"9090","path":"m?x=1"}"#), Ok(Some(own)));
        assert_eq!(of(r#"{"scrape":"false"}"#), Ok(None));
        assert!(of(r#"{"scrape":"true","port":"15020"}"#).is_err(), "the proxy is not sent to itself");
        assert!(of(r#"{"scrape":"true","port":"web"}"#).is_err());
        assert!(of("true").is_err());
    }

    #[test]
    fn texts_end_so_that_more_can_follow() {
        assert_eq!(ended("a 1".to_owned()), "a 1\n");
        assert_eq!(ended("a 1\n# EOF\n".to_owned()), "a 1\n");
    }
}
