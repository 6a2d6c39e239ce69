// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who may ask: with a token, with a certificate, by which name.

use std::fs::Permissions;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rustix::process::Signal;
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
        let answer = daemon.ask_by_address(path, &[]);
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.header("www-authenticate").starts_with("Basic "), "{answer:?}");
        assert_eq!(answer.json()["error"], "a token is asked for");
        let wrong = daemon.ask_by_address(path, &[("authorization", "Bearer 0123456789abcdee")]);
        assert_eq!(wrong.status, 401, "{path}");
        // With a token, by whatever name.
        let headers = [("authorization", "Bearer 0123456789abcdef"), ("host", "example.com")];
        assert_ne!(daemon.ask_by_address(path, &headers).status, 401, "{path}");
        assert_ne!(daemon.get(path).status, 401, "{path} over the local socket");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(daemon.ask_by_address(path, &[]).status, 200, "{path}");
    }
}

/// What everybody on the host may ask at the address, and what not.
#[test]
fn by_default_connections_are_told_over_the_local_socket_only() {
    let host = Host::new();
    let mut daemon = host.start();
    let private = [
        "/",
        "/page.js",
        "/api/v1/connections",
        "/api/v1/fds",
        "/api/v1/stream",
        "/api/v1/peers",
        "/api/v1/diagnostics/events",
        "/api/v1/openapi.json",
        "/nothing",
    ];
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(daemon.ask_by_address(path, &[]).status, 200, "{path}");
    }
    for path in private {
        let answer = daemon.ask_by_address(path, &[]);
        assert_eq!(answer.status, 403, "{path}");
        let error = answer.json()["error"].as_str().expect("it is text").to_owned();
        assert!(error.starts_with("only health and metrics are for everybody here; "), "{error}");
        assert!(error.contains(daemon.socket.to_str().expect("it is text")), "{error}");
    }
    let page = daemon.ask_by_address("/", &[("accept", "text/html,*/*;q=0.8")]);
    assert_eq!((page.status, page.header("content-type")), (403, "text/html; charset=utf-8"));
    assert!(page.body.contains("run <code>mutexctl page</code>"), "{page:?}");
    assert_eq!(daemon.get("/api/v1/connections").status, 200);
    assert_eq!(mode(&daemon.socket), 0o600);

    // Metrics that name connections are for those who may see these.
    host.configure("[prometheus]\ntop_connections = 1\n");
    daemon.reload();
    assert_eq!(daemon.ask_by_address("/metrics", &[]).status, 403);
    assert!(daemon.get("/metrics").body.contains("\nmutex_top_connection_bytes{"));
    host.configure("allow_everyone = true\n[prometheus]\ntop_connections = 1\n");
    daemon.reload();
    for path in ["/metrics", "/", "/api/v1/connections"] {
        assert_eq!(daemon.ask_by_address(path, &[]).status, 200, "{path}");
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("it is there").permissions().mode() & 0o777
}

#[test]
fn the_local_socket_is_for_the_group_that_is_configured() {
    let host = Host::new();
    let mut daemon = host.start();
    let group = daemon.socket.metadata().expect("it is there").gid();
    host.configure(&format!("group = \"{group}\"\n"));
    daemon.reload();
    assert_eq!(mode(&daemon.socket), 0o660);
    assert_eq!(daemon.get("/api/v1/connections").status, 200);
    host.configure("group = \"no-such-group\"\n");
    daemon.reload();
    let sentence = "http.group: /etc/group has no group \"no-such-group\"; make it with `groupadd";
    assert!(host.log().contains(sentence), "{}", host.log());
    assert_eq!(host.run(&["check-config"]).0, Some(1));
    host.configure("");
    daemon.reload();
    assert_eq!(mode(&daemon.socket), 0o600);
    // The diagnostics socket has one of its own.
    let path = host.path("diagnostics");
    host.configure(&format!(
        "[diagnostics]\nsocket = \"{}\"\ngroup = \"{group}\"\n",
        path.display()
    ));
    daemon.reload();
    assert_eq!((mode(&path), path.metadata().expect("it is there").gid()), (0o660, group));
    assert_eq!(daemon.end(Signal::TERM), Some(0));
    assert!(!host.path("http.sock").exists() && !path.exists());
}

#[test]
fn a_browser_is_let_in_by_a_link_that_can_be_followed_once() {
    let host = Host::new();
    let mut daemon = host.start();
    let post = "POST /api/v1/login HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let by_address = Answer::read(exchange(daemon.connect_by_address(), post.as_bytes()));
    assert_eq!(by_address.status, 403, "{by_address:?}");
    let given = daemon.say(post);
    assert_eq!(given.status, 200, "{given:?}");
    let url = given.json()["url"].as_str().expect("it is text").to_owned();
    let link = url.strip_prefix(&format!("http://{}", daemon.address)).expect(&url);
    assert!(link.starts_with("/login?code="), "{link}");

    assert_eq!(daemon.ask_by_address("/login?code=0123", &[]).status, 403);
    assert_eq!(daemon.ask_by_address("/login", &[]).status, 400);
    let followed = daemon.ask_by_address(link, &[]);
    assert_eq!(followed.status, 200, "{followed:?}");
    assert!(followed.body.contains("<meta http-equiv=\"refresh\" content=\"0;url=.\">"));
    let cookie = followed.header("set-cookie").to_owned();
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict"), "{cookie}");
    let again = daemon.ask_by_address(link, &[]);
    assert_eq!((again.status, again.header("set-cookie")), (403, ""));

    let session = cookie.split(';').next().expect("it is not empty");
    for path in ["/", "/page.js", "/api/v1/connections", "/api/v1/health"] {
        assert_eq!(daemon.ask_by_address(path, &[("cookie", session)]).status, 200, "{path}");
        assert_eq!(daemon.ask_by_address(path, &[("cookie", "mutexd_0=1")]).status, 403, "{path}");
    }
    // It is there to look, not to change anything: other servers at this address can have a browser send it.
    let change = format!(
        "POST /api/v1/peers/announcements HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         cookie: {session}\r\ncontent-length: 0\r\n\r\n"
    );
    let answer = Answer::read(exchange(daemon.connect_by_address(), change.as_bytes()));
    assert_eq!(answer.status, 403, "{answer:?}");
    // Neither goes with another configuration, nor does it take another name of the host.
    daemon.reload();
    assert_eq!(daemon.ask_by_address("/", &[("cookie", session)]).status, 200);
    let elsewhere = [("cookie", session), ("host", "evil.example")];
    assert_eq!(daemon.ask_by_address("/", &elsewhere).status, 421);
    assert!(!host.log().contains(&link["/login?code=".len()..]), "a link is in the log");

    host.configure("[page]\nenabled = false\n");
    daemon.reload();
    assert_eq!(daemon.say(post).status, 404);
}

#[test]
fn without_a_token_other_names_are_refused() {
    let host = Host::new();
    let daemon = host.start();
    assert_eq!(daemon.ask_by_address("/metrics", &[("host", "evil.example:8787")]).status, 421);
    assert_eq!(daemon.ask_by_address("/metrics", &[("host", "127.0.0.1")]).status, 200);
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
    let stream = StreamOwned::new(client, daemon.connect_by_address());
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
    assert_eq!(daemon.ask_by_address("/metrics", &[]).status, 0, "without TLS");

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
