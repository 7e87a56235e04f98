//! Asks the certificate authority to sign.

use std::time::Duration;

use tonic::Code;
use tonic::transport::Channel;

use crate::proto::ca::IstioCertificateRequest;
use crate::proto::ca::istio_certificate_service_client::IstioCertificateServiceClient;
use crate::transport::{authorize, status_words};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignError {
    /// The authority answered that it will not: asking again with the same token and request is in vain.
    #[error("the certificate authority refused: {0}")]
    Refused(String),
    /// It could not be asked.
    #[error("the certificate authority did not answer: {0}")]
    Unavailable(String),
}

/// Has `csr` (PEM) signed for `ttl` (whole seconds) and returns the chain as PEM blocks, leaf first, root last.
///
/// # Errors
/// See [`SignError`].
pub async fn sign(channel: Channel, token: &str, csr: &str, ttl: Duration) -> Result<Vec<String>, SignError> {
    let validity_duration = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
    let mut request =
        tonic::Request::new(IstioCertificateRequest { csr: csr.to_owned(), validity_duration, metadata: None });
    authorize(&mut request, token).map_err(SignError::Refused)?;
    request.set_timeout(TIMEOUT);
    match IstioCertificateServiceClient::new(channel).create_certificate(request).await {
        Ok(response) => Ok(response.into_inner().cert_chain),
        Err(status) => Err(match status.code() {
            Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument | Code::Unimplemented => {
                SignError::Refused(status_words(&status))
            }
            _ => SignError::Unavailable(status_words(&status)),
        }),
    }
}

/// Time for the whole call.
const TIMEOUT: Duration = Duration::from_secs(10);
