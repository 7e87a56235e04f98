//! The certificate service: signs the caller's own identity, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use leno_core::id::SpiffeId;
use leno_identity::SignError;
use leno_xds::proto::ca::istio_certificate_service_server::IstioCertificateService;
use leno_xds::proto::ca::{IstioCertificateRequest, IstioCertificateResponse};
use tonic::{Request, Response, Status};

use super::auth::Authenticator;
use super::tls::Keys;
use crate::hub::Hub;
use crate::metrics::add;

/// Life of a certificate where the caller names none; Istio's default.
const DEFAULT_TTL: Duration = Duration::from_secs(24 * 3600);

/// The service.
#[derive(Clone, Debug)]
pub struct Ca {
    /// Signs.
    pub keys: Keys,
    /// Knows the callers.
    pub auth: Authenticator,
    /// Longest life of a certificate, whatever is asked for.
    pub ttl_max: Duration,
    /// For its counters.
    pub hub: Arc<Hub>,
}

#[tonic::async_trait]
impl IstioCertificateService for Ca {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let metrics = &self.hub.metrics;
        add(&metrics.csr);
        let caller = self.auth.check(&request, metrics).await?.identity;
        let authority = Arc::clone(&self.keys.borrow());
        let id = SpiffeId::new(authority.trust_domain(), caller.namespace, caller.account);
        let request = request.into_inner();
        let asked = u64::try_from(request.validity_duration).ok().filter(|s| *s > 0).map(Duration::from_secs);
        let ttl = asked.unwrap_or(DEFAULT_TTL).min(self.ttl_max);
        match authority.sign(&request.csr, &id, ttl) {
            Ok(cert_chain) => {
                add(&metrics.csr_success);
                tracing::debug!(%id, pod = caller.pod.as_deref().unwrap_or_default(), ?ttl, "certificate issued");
                Ok(Response::new(IstioCertificateResponse { cert_chain }))
            }
            Err(error) => {
                tracing::warn!(%id, %error, "certificate refused");
                let blame = matches!(error, SignError::Csr(_));
                add(if blame { &metrics.csr_parsing_errors } else { &metrics.csr_sign_errors });
                let message = error.to_string();
                Err(if blame { Status::invalid_argument(message) } else { Status::internal(message) })
            }
        }
    }
}
