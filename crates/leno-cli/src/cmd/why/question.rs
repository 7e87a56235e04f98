//! What is asked: a method, a URL, headers.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use http::Uri;
use leno_control::world::Pod;
use leno_core::why::{Asked, Spoken};

use super::Args;
use super::mesh::Target;

/// A request that somebody wonders about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Method; empty for an opaque connection.
    pub(super) method: String,
    /// Host of the URL.
    pub(super) host: String,
    /// Port of the URL, or the scheme's.
    pub(super) port: u16,
    authority: String,
    path: String,
    headers: Vec<(String, String)>,
    spoken: Spoken,
}

impl Question {
    /// Reads the command line.
    ///
    /// # Errors
    /// What cannot be read, and how it is written.
    pub(super) fn read(args: &Args) -> anyhow::Result<Self> {
        let (method, url) = match args.request.as_slice() {
            [url] => ("GET", url.as_str()),
            [method, url] => (method.as_str(), url.as_str()),
            _ => bail!("give `METHOD URL`, such as GET http://catalog/items"),
        };
        if method.contains("://") {
            bail!("the method comes first: leno why {url} {method}");
        }
        if http::Method::from_bytes(method.as_bytes()).is_err() {
            bail!("`{method}` is no method such as GET or POST");
        }
        let written = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri =
            written.parse().with_context(|| format!("`{url}` is no URL such as http://catalog.shop:8080/items"))?;
        let host = uri.host().filter(|h| !h.is_empty()).with_context(|| format!("`{url}` names no host"))?;
        let (spoken, usual) = match uri.scheme_str() {
            Some("http") if args.http2 => (Spoken::Http2, Some(80)),
            Some("http") => (Spoken::Http1, Some(80)),
            Some("grpc") => (Spoken::Http2, Some(80)),
            Some("https" | "tls") => (Spoken::Tls, Some(443)),
            Some("tcp") => (Spoken::Opaque, None),
            other => bail!("`{}://`: give http://, grpc://, https:// or tcp://", other.unwrap_or_default()),
        };
        let port = uri.port_u16().or(usual).with_context(|| format!("`{url}` needs a port: {url}:5432"))?;
        let mut headers = args.headers.iter().map(|h| header(h)).collect::<anyhow::Result<Vec<_>>>()?;
        if uri.scheme_str() == Some("grpc") && !headers.iter().any(|(n, _)| n == "content-type") {
            headers.push(("content-type".to_owned(), "application/grpc".to_owned()));
        }
        // A `Host` header is the authority, as with curl.
        let named = headers.iter().find(|(n, _)| n == "host").map(|(_, v)| v.clone());
        headers.retain(|(n, _)| n != "host");
        let method = match (spoken.is_http(), uri.scheme_str()) {
            (false, _) => "",
            (true, Some("grpc")) => "POST",
            (true, _) => method,
        };
        Ok(Self {
            method: method.to_owned(),
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            authority: named.unwrap_or_else(|| uri.authority().map(ToString::to_string).unwrap_or_default()),
            path: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), |p| if p.as_str().is_empty() { "/".to_owned() } else { p.to_string() }),
            headers: joined(headers),
            spoken,
        })
    }

    /// A request that was seen; `None`: its host is no name.
    pub(super) fn of(method: &str, authority: &str, path: &str) -> Option<Self> {
        let uri: Uri = format!("http://{authority}{path}").parse().ok()?;
        Some(Self {
            method: method.to_owned(),
            host: uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: uri.port_u16().unwrap_or(80),
            authority: authority.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            spoken: Spoken::Http1,
        })
    }

    /// As people say it.
    pub(super) fn words(&self) -> String {
        format!("{} {}{}", self.method, self.authority, self.path)
    }

    /// As `caller` asks it of `target`.
    pub(super) fn asked(&self, caller: &Pod, target: &Target, bypass: Option<String>) -> Asked {
        let address = target.address;
        Asked {
            method: self.method.clone(),
            authority: self.authority.clone(),
            path: self.path.clone(),
            headers: self.headers.clone(),
            spoken: self.spoken,
            dialled: SocketAddr::new(address, self.port),
            client: caller.facts.ips.first().copied().unwrap_or(address),
            bypass,
        }
    }
}

fn header(text: &str) -> anyhow::Result<(String, String)> {
    let (name, value) = text.split_once(':').with_context(|| format!("-H `{text}`: write it as `name: value`"))?;
    let name = http::HeaderName::try_from(name.trim())
        .with_context(|| format!("-H `{text}`: `{name}` is no header's name"))?;
    let value = value.trim();
    http::HeaderValue::try_from(value).with_context(|| format!("-H `{text}`: its value cannot be sent"))?;
    Ok((name.as_str().to_owned(), value.to_owned()))
}

/// As decisions see a header that is repeated.
fn joined(headers: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (name, value) in headers {
        match all.iter_mut().find(|(n, _)| *n == name) {
            Some((_, have)) => *have = format!("{have},{value}"),
            None => all.push((name, value)),
        }
    }
    all
}
