//! What a peer says after TLS' handshake: any content in authentic records, and any bytes. No panic, and no data that was not sent as
//! data.
#![no_main]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use leno_core::id::SpiffeId;
use leno_identity::tls::{ClientCert, client_config, server_config};
use leno_identity::{Authority, Expected, Roots};
use leno_tls::Records;
use libfuzzer_sys::fuzz_target;
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::ServerName;

fuzz_target!(|script: (bool, Vec<(u8, Vec<u8>)>)| {
    let (reads_as_client, records) = script;
    let (client, server) = ends();
    let (mut reads, mut writes) = if reads_as_client { (client, server) } else { (server, client) };
    let (mut wire, mut sent) = (Vec::new(), 0);
    for (kind, content) in &records {
        match kind {
            // As it is, behind what was authentic.
            0 => wire.extend_from_slice(content),
            kind => {
                sent += if *kind == 23 { content.len() } else { 0 };
                writes.seal_record(*kind, &content[..content.len().min(16 * 1024)], &mut wire).unwrap();
            }
        }
    }
    let (mut rest, mut came) = (&mut wire[..], 0);
    while let Ok(Some(opened)) = reads.open(rest) {
        came += opened.data.len();
        let length = opened.length;
        rest = &mut rest[length..];
    }
    assert!(came <= sent);
});

fn ends() -> (Records, Records) {
    static CONFIGS: OnceLock<(Arc<ClientConfig>, Arc<ServerConfig>)> = OnceLock::new();
    let (client, server) = CONFIGS.get_or_init(configs);
    let name = ServerName::try_from("outbound_.80_._.web.shop.svc.cluster.local").unwrap();
    let (c, s) = tokio::io::duplex(1 << 16);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (client, server) = runtime.block_on(async {
        tokio::join!(leno_tls::connect(client.clone(), name, c), leno_tls::accept(server.clone(), s))
    });
    (client.unwrap().0.into_parts().1, server.unwrap().0.into_parts().1)
}

fn configs() -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let authority = Authority::generate("cluster.local").unwrap();
    let svid = authority.issue(&SpiffeId::new("cluster.local", "shop", "web"), Duration::from_secs(86_400)).unwrap();
    let roots = Roots::from_pem(&authority.roots_pem()).unwrap();
    let client = client_config(&svid, &roots, Expected::Any, &[]).unwrap();
    let server = server_config(&svid, &roots, ClientCert::Required, &[]).unwrap();
    (Arc::new(client), Arc::new(server))
}
