//! Failures of the API server in words.

use anyhow::anyhow;
use kube::Error;

/// Without the library's words around it.
pub(crate) fn plain(error: &Error) -> anyhow::Error {
    match error {
        Error::Api(status) => {
            let said = if status.message.is_empty() { status.reason.as_str() } else { status.message.as_str() };
            match status.code {
                401 => anyhow!(
                    "the API server does not know who asks: log in anew, or check the kubeconfig's user ({said})"
                ),
                403 => anyhow!("not allowed: {said}"),
                _ => anyhow!("{said}"),
            }
        }
        other => anyhow!("{}", innermost(other)),
    }
}

/// The object is not there, or its kind is not served.
pub(crate) fn is_absent(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404)
}

/// Asking again may help: the server is busy or restarts, a webhook is not up yet.
pub(crate) fn is_transient(error: &Error) -> bool {
    match error {
        Error::Api(status) => matches!(status.code, 429 | 500 | 502..=504),
        Error::Service(_) | Error::HyperError(_) => true,
        _ => false,
    }
}

/// The last cause says most: `Connection refused`, not `client error (Connect)`.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
