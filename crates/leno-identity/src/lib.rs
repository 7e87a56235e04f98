//! Certificates, SPIFFE identities, tokens and their verification.
