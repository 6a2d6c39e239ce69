// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who may ask: with a token, with a certificate, by which name.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::ClientConnection;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::StreamOwned;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::host::Answer;
use crate::host::Daemon;
use crate::host::Host;
use crate::host::exchange;

#[test]
fn a_token_is_asked_for() {
    let host = Host::new();
    host.write("token", "0123456789abcdef\n");
    let permissions = Permissions::from_mode(0o600);
    std::fs::set_permissions(host.path("token"), permissions).expect("it is ours");
    host.configure(&format!("token_file = \"{}\"\n", host.path("token").display()));
    let daemon = host.start();
    for path in ["/metrics", "/api/v1/stats", "/api/v1/openapi.json", "/", "/nothing"] {
        let answer = daemon.get(path);
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.header("www-authenticate").starts_with("Basic "), "{answer:?}");
        assert_eq!(answer.json()["error"], "a token is asked for");
        let wrong = daemon.ask(path, &[("authorization", "Bearer 0123456789abcdee")]);
        assert_eq!(wrong.status, 401, "{path}");
        // With a token, by whatever name.
        let headers = [("authorization", "Bearer 0123456789abcdef"), ("host", "example.com")];
        assert_ne!(daemon.ask(path, &headers).status, 401, "{path}");
    }
    assert_eq!((daemon.get("/healthz").status, daemon.get("/readyz").status), (200, 200));
}

#[test]
fn without_a_token_other_names_are_refused() {
    let host = Host::new();
    let daemon = host.start();
    assert_eq!(daemon.ask("/metrics", &[("host", "evil.example:8787")]).status, 421);
    assert_eq!(daemon.ask("/metrics", &[("host", "127.0.0.1")]).status, 200);
}

/// A certificate that `issuer` has signed, or that signs others, in PEM and DER.
fn certificate(
    name: &str,
    issuer: Option<&Issuer<'static, KeyPair>>,
) -> (rcgen::Certificate, KeyPair, CertificateParams) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("it is a name");
    let key = KeyPair::generate().expect("there is randomness");
    if issuer.is_none() {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let certificate = match issuer {
        Some(issuer) => params.signed_by(&key, issuer),
        None => params.self_signed(&key),
    };
    (certificate.expect("it can be signed"), key, params)
}

fn ask_over_tls(
    daemon: &Daemon,
    roots: &RootCertStore,
    mine: Option<(&rcgen::Certificate, &KeyPair)>,
) -> Answer {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("there are versions")
        .with_root_certificates(roots.clone());
    let config = match mine {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
            builder
                .with_client_auth_cert(vec![certificate.der().clone()], key)
                .expect("they are a pair")
        }
    };
    let name = "localhost".try_into().expect("it is one");
    let client = ClientConnection::new(Arc::new(config), name).expect("it is right");
    let stream = StreamOwned::new(client, daemon.connect());
    let request = b"GET /metrics HTTP/1.1\r\nhost: example.com\r\nconnection: close\r\n\r\n";
    Answer::read(exchange(stream, request))
}

#[test]
fn over_tls_only_certificates_that_were_signed_get_an_answer() {
    let host = Host::new();
    let (ca, ca_key, params) = certificate("authority", None);
    let issuer = Issuer::new(params, ca_key);
    let (server, server_key, _) = certificate("localhost", Some(&issuer));
    let (client, client_key, _) = certificate("client", Some(&issuer));
    let (stranger, stranger_key, _) = certificate("stranger", None);
    host.write("ca.pem", ca.pem());
    host.write("server.pem", server.pem());
    host.write("server.key", server_key.serialize_pem());
    let path = |name| host.path(name).display().to_string();
    host.configure(&format!(
        "[http.tls]\ncertificate = \"{}\"\nkey = \"{}\"\nclient_ca = \"{}\"\n",
        path("server.pem"),
        path("server.key"),
        path("ca.pem")
    ));
    let mut daemon = host.start();
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).expect("it is one");
    assert_eq!(ask_over_tls(&daemon, &roots, Some((&client, &client_key))).status, 200);
    assert_eq!(ask_over_tls(&daemon, &roots, None).status, 0);
    assert_eq!(ask_over_tls(&daemon, &roots, Some((&stranger, &stranger_key))).status, 0);
    assert_eq!(daemon.get("/metrics").status, 0, "without TLS");

    // A key of another certificate is refused, and the old ones stay.
    host.write("server.key", client_key.serialize_pem());
    daemon.reload();
    assert!(
        host.log().contains("the certificate and the key do not make a pair"),
        "{}",
        host.log()
    );
    assert_eq!(ask_over_tls(&daemon, &roots, Some((&client, &client_key))).status, 200);
}
