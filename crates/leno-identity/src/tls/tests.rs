//! Both ends of a handshake in memory: what one proves and the other accepts.

use std::io::{Read, Write};
use std::time::Duration;

use leno_core::id::SpiffeId;
use leno_core::names::alpn;
use rustls::{ClientConnection, ServerConnection};

use super::*;
use crate::{Authority, peer_identity};

const TD: &str = "cluster.local";
const HOUR: Duration = Duration::from_secs(3600);

fn id(account: &str) -> SpiffeId {
    SpiffeId::new(TD, "shop", account)
}

fn authority() -> Authority {
    Authority::generate(TD).unwrap()
}

fn any_of(account: &str) -> Expected {
    Expected::AnyOf(vec![id(account)])
}

/// What came of a handshake, for the client and for the server.
struct Met {
    client: Result<ClientConnection, rustls::Error>,
    server: Result<ServerConnection, rustls::Error>,
}

impl Met {
    fn client_error(&self) -> PeerError {
        peer_error(self.client.as_ref().map(|_| ()).expect_err("the client refuses"))
            .expect("because of the certificate")
    }

    fn server_error(&self) -> PeerError {
        peer_error(self.server.as_ref().map(|_| ()).expect_err("the server refuses"))
            .expect("because of the certificate")
    }
}

fn meet(client: ClientConfig, server: ServerConfig) -> Met {
    meet_shared(&Arc::new(client), &Arc::new(server))
}

fn meet_shared(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Met {
    let name = ServerName::try_from("outbound_.80_._.web.shop.svc.cluster.local").unwrap();
    let mut client = Ok(ClientConnection::new(Arc::clone(client), name).unwrap());
    let mut server = Ok(ServerConnection::new(Arc::clone(server)).unwrap());
    // Each end keeps sending what it has (an alert too) after the other has failed.
    let (mut c, mut s) = (client.as_mut().ok().unwrap().writer_bytes(), Vec::new());
    for _ in 0..10 {
        if let Ok(end) = &mut server {
            match end.feed(&c) {
                Ok(()) => s = end.writer_bytes(),
                Err((e, alert)) => {
                    s = alert;
                    server = Err(e);
                }
            }
        }
        if let Ok(end) = &mut client {
            match end.feed(&s) {
                Ok(()) => c = end.writer_bytes(),
                Err((e, alert)) => {
                    c = alert;
                    client = Err(e);
                }
            }
        }
    }
    Met { client, server }
}

trait End {
    fn writer_bytes(&mut self) -> Vec<u8>;
    fn feed(&mut self, bytes: &[u8]) -> Result<(), (rustls::Error, Vec<u8>)>;
}

macro_rules! end {
    ($t:ty) => {
        impl End for $t {
            fn writer_bytes(&mut self) -> Vec<u8> {
                let mut out = Vec::new();
                while self.wants_write() {
                    self.write_tls(&mut out).unwrap();
                }
                out
            }

            fn feed(&mut self, mut bytes: &[u8]) -> Result<(), (rustls::Error, Vec<u8>)> {
                while !bytes.is_empty() {
                    self.read_tls(&mut bytes).unwrap();
                    if let Err(e) = self.process_new_packets() {
                        return Err((e, self.writer_bytes()));
                    }
                }
                Ok(())
            }
        }
    };
}
end!(ClientConnection);
end!(ServerConnection);

fn client_of(ca: &Authority, account: &str, expected: Expected) -> ClientConfig {
    client_config(&ca.issue(&id(account), HOUR).unwrap(), ca.roots(), expected, &[alpn::H2, alpn::TCP]).unwrap()
}

fn server_of(ca: &Authority, account: &str) -> ServerConfig {
    server_config(&ca.issue(&id(account), HOUR).unwrap(), ca.roots(), ClientCert::Required, alpn::MESH).unwrap()
}

#[test]
fn two_of_one_mesh_prove_who_they_are_with_a_post_quantum_key_exchange() {
    let ca = authority();
    let met = meet(client_of(&ca, "web", any_of("api")), server_of(&ca, "api"));
    let (mut client, mut server) = (met.client.unwrap(), met.server.unwrap());
    assert_eq!(peer_identity(client.peer_certificates().unwrap()).unwrap(), id("api"));
    assert_eq!(peer_identity(server.peer_certificates().unwrap()).unwrap(), id("web"));
    assert_eq!(client.alpn_protocol(), Some(alpn::H2));
    assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    let group = client.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    client.writer().write_all(b"hello").unwrap();
    server.feed(&client.writer_bytes()).unwrap();
    let mut got = [0; 5];
    server.reader().read_exact(&mut got).unwrap();
    assert_eq!(&got, b"hello");
}

#[test]
fn a_server_of_another_authority_is_refused_even_if_that_has_the_same_name() {
    let (ours, theirs) = (authority(), authority());
    let met = meet(client_of(&ours, "web", any_of("api")), server_of(&theirs, "api"));
    assert_eq!(met.client_error(), PeerError::UnknownCa);
    assert_eq!(met.server_error(), PeerError::RefusedByPeer("UnknownCA".to_owned()));
}

#[test]
fn a_client_of_another_authority_is_refused() {
    let (ours, theirs) = (authority(), authority());
    let svid = theirs.issue(&id("web"), HOUR).unwrap();
    let client = client_config(&svid, ours.roots(), any_of("api"), alpn::MESH).unwrap();
    let met = meet(client, server_of(&ours, "api"));
    assert_eq!(met.server_error(), PeerError::UnknownCa);
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_required_and_only_there() {
    let ca = authority();
    let bare = || {
        let mut config = control_client_config(ca.roots(), alpn::MESH).unwrap();
        // Names are not the matter here.
        config.dangerous().set_certificate_verifier(Arc::new(Verifier::new(ca.roots(), TD, any_of("api"))));
        config
    };
    assert_eq!(meet(bare(), server_of(&ca, "api")).server_error(), PeerError::NoCertificate);
    let svid = ca.issue(&id("api"), HOUR).unwrap();
    for clients in [ClientCert::Optional, ClientCert::None] {
        let server = server_config(&svid, ca.roots(), clients, alpn::MESH).unwrap();
        assert!(meet(bare(), server).server.unwrap().peer_certificates().is_none());
    }
}

#[test]
fn the_wrong_service_account_is_named_in_the_error() {
    let ca = authority();
    let met = meet(client_of(&ca, "web", any_of("api")), server_of(&ca, "impostor"));
    let error = met.client_error();
    assert!(error.is_identity_mismatch());
    assert_eq!(
        error.to_string(),
        "the peer is spiffe://cluster.local/ns/shop/sa/impostor, expected spiffe://cluster.local/ns/shop/sa/api"
    );
    assert_eq!(met.server_error(), PeerError::RefusedByPeer("CertificateUnknown".to_owned()));
}

#[test]
fn any_of_several_identities_is_enough() {
    let ca = authority();
    let expected = Expected::AnyOf(vec![id("api"), id("api-v2")]);
    assert!(meet(client_of(&ca, "web", expected), server_of(&ca, "api-v2")).client.is_ok());
    let nobody = Expected::AnyOf(Vec::new());
    assert!(meet(client_of(&ca, "web", nobody), server_of(&ca, "api")).client_error().is_identity_mismatch());
}

#[test]
fn expected_names_are_uris_or_dns_names() {
    let ca = authority();
    let names = |name: &str| Expected::Names(vec![name.to_owned()]);
    let met = |expected| meet(client_of(&ca, "web", expected), server_of(&ca, "api"));
    assert!(met(names("spiffe://cluster.local/ns/shop/sa/api")).client.is_ok());
    assert!(met(names("api.shop")).client_error().is_identity_mismatch());
    let dns = serving_config(&ca.serving(&["api.shop"]).unwrap(), alpn::MESH).unwrap();
    assert!(meet(client_of(&ca, "web", names("api.shop")), dns).client.is_ok());
}

#[test]
fn a_certificate_without_a_spiffe_identity_is_refused() {
    let ca = authority();
    let dns = serving_config(&ca.serving(&["api.shop"]).unwrap(), alpn::MESH).unwrap();
    assert_eq!(meet(client_of(&ca, "web", any_of("api")), dns).client_error(), PeerError::NoSpiffeId);
}

#[test]
fn an_expired_certificate_is_refused_with_its_age() {
    let ca = authority();
    let svid = ca.issue(&id("api"), Duration::from_secs(20)).unwrap();
    let later = SystemTime::now() + Duration::from_secs(95);
    let error = verify_server(svid.chain(), ca.roots(), TD, any_of("api"), later).unwrap_err();
    assert!(matches!(&error, PeerError::Expired { since } if (74..=76).contains(&since.as_secs())), "{error}");
    let earlier = SystemTime::now() - Duration::from_secs(180);
    let error = verify_server(svid.chain(), ca.roots(), TD, any_of("api"), earlier).unwrap_err();
    assert!(matches!(&error, PeerError::NotYetValid { wait } if (58..=61).contains(&wait.as_secs())), "{error}");
}

#[test]
fn an_expired_client_is_refused_in_the_handshake_and_told_so() {
    let ca = authority();
    let svid = ca.issue(&id("web"), Duration::from_secs(1)).unwrap();
    let client = client_config(&svid, ca.roots(), any_of("api"), alpn::MESH).unwrap();
    std::thread::sleep(Duration::from_millis(2100));
    let met = meet(client, server_of(&ca, "api"));
    assert!(matches!(met.server_error(), PeerError::Expired { .. }));
    assert_eq!(met.client_error(), PeerError::RefusedByPeer("CertificateExpired".to_owned()));
}

#[test]
fn another_trust_domain_is_refused_although_the_authority_is_known() {
    let (ours, theirs) = (authority(), Authority::generate("other.example").unwrap());
    let both = ours.roots().union(theirs.roots());
    let foreign = SpiffeId::new("other.example", "shop", "api");
    let svid = theirs.issue(&foreign, HOUR).unwrap();
    let server = server_config(&svid, &both, ClientCert::Required, alpn::MESH).unwrap();
    let client = client_config(&ours.issue(&id("web"), HOUR).unwrap(), &both, any_of("api"), alpn::MESH).unwrap();
    let error = meet(client, server).client_error();
    assert_eq!(error, PeerError::WrongTrustDomain { expected: TD.to_owned(), got: foreign });
}

#[test]
fn while_roots_overlap_old_and_new_certificates_meet_each_other() {
    let (old, new) = (authority(), authority());
    let both = old.roots().union(new.roots());
    assert_eq!(both.certs().len(), 2);
    for (client_ca, server_ca) in [(&old, &new), (&new, &old)] {
        let svid = |ca: &Authority, account| ca.issue(&id(account), HOUR).unwrap();
        let server = server_config(&svid(server_ca, "api"), &both, ClientCert::Required, alpn::MESH).unwrap();
        let client = client_config(&svid(client_ca, "web"), &both, any_of("api"), alpn::MESH).unwrap();
        let met = meet(client, server);
        assert!(met.client.is_ok() && met.server.is_ok());
    }
}

#[test]
fn sessions_resume_within_one_configuration() {
    let ca = authority();
    let (client, server) = (Arc::new(client_of(&ca, "web", any_of("api"))), Arc::new(server_of(&ca, "api")));
    let first = meet_shared(&client, &server);
    assert_eq!(first.client.unwrap().handshake_kind(), Some(rustls::HandshakeKind::Full));
    let second = meet_shared(&client, &server);
    assert_eq!(second.client.unwrap().handshake_kind(), Some(rustls::HandshakeKind::Resumed));
    let server = second.server.unwrap();
    assert_eq!(peer_identity(server.peer_certificates().unwrap()).unwrap(), id("web"), "the identity survives");
}

#[test]
fn a_server_certificate_is_not_accepted_from_a_client_of_the_web() {
    // The control plane's certificate is for DNS names; a proxy verifies it as a browser would.
    let ca = authority();
    let server = serving_config(&ca.serving(&["leno-control.leno-system.svc", "10.244.0.1"]).unwrap(), &[b"h2"]);
    let server = Arc::new(server.unwrap());
    let client = Arc::new(control_client_config(ca.roots(), &[b"h2"]).unwrap());
    let handshake = |name: &'static str| {
        let name = ServerName::try_from(name).unwrap();
        let mut client = ClientConnection::new(Arc::clone(&client), name).unwrap();
        let mut server = ServerConnection::new(Arc::clone(&server)).unwrap();
        server.feed(&client.writer_bytes()).unwrap();
        client.feed(&server.writer_bytes()).map_err(|(e, _)| peer_error(&e))
    };
    assert!(handshake("leno-control.leno-system.svc").is_ok());
    assert!(handshake("10.244.0.1").is_ok());
    assert!(matches!(handshake("other.leno-system.svc"), Err(Some(PeerError::Malformed(_)))));
}
