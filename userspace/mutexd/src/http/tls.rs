// SPDX-License-Identifier: MIT OR Apache-2.0

//! TLS, with certificates of clients if that is wanted.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::server::WebPkiClientVerifier;

use crate::config::Tls;

/// What begins TLS on a connection; `None` if there is none.
///
/// # Errors
///
/// What is wrong with which file.
pub fn acceptor(settings: &Tls) -> anyhow::Result<Option<TlsAcceptor>> {
    if !settings.is_on() {
        return Ok(None);
    }
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(&settings.certificate).context("http.tls.certificate")?;
    let key = PrivateKeyDer::from_pem_file(&settings.key)
        .map_err(|error| unreadable(&settings.key, &error))
        .context("http.tls.key")?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let builder = if settings.client_ca.as_os_str().is_empty() {
        builder.with_no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        for root in certificates(&settings.client_ca).context("http.tls.client_ca")? {
            roots.add(root).context("http.tls.client_ca")?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().context("http.tls.client_ca")?)
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .context("http.tls: the certificate and the key do not make a pair")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(|error| unreadable(path, &error))?;
    if all.is_empty() {
        bail!("{} holds no certificate in PEM", path.display());
    }
    Ok(all)
}

fn unreadable(path: &Path, error: &pem::Error) -> anyhow::Error {
    let why = match error {
        pem::Error::Io(error) => crate::reason(error),
        pem::Error::NoItemsFound => "there is nothing of that kind in PEM".into(),
        error => error.to_string(),
    };
    anyhow!("cannot read {}: {why}", path.display())
}
