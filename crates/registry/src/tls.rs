//! Certificates: which authorities are trusted, and how we prove who we are.

use std::fs::DirEntry;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::{ClientError, TlsOptions};

/// Everything read from certificate files, ready to make TLS settings from.
#[derive(Debug)]
pub(crate) struct Certificates {
    options: TlsOptions,
    roots: RootCertStore,
}

impl Certificates {
    /// Reads the authorities that are trusted for every registry.
    ///
    /// If the system has no bundle, as in an image made from nothing, Mozilla's list stands in for it.
    /// Directories of certificates come on top: people put their company's own authority there.
    pub(crate) fn load(options: &TlsOptions) -> Result<Self, ClientError> {
        // Another part of the program may have installed a provider already; either will do.
        let _ = ring::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(bundle(options));
        if roots.is_empty() {
            let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
            roots.add_parsable_certificates(bundled);
        }
        roots.add_parsable_certificates(in_directories(options));
        for path in &options.certificates {
            roots.add_parsable_certificates(read_certificates(path)?);
        }
        Ok(Self {
            options: options.clone(),
            roots,
        })
    }

    /// Registries with certificates of their own.
    pub(crate) fn registries(&self) -> impl Iterator<Item = &String> {
        let authorities = self.options.registry_certificates.keys();
        authorities.chain(self.options.client_certificates.keys())
    }

    /// TLS settings for one registry, or for all that have no certificates of their own.
    pub(crate) fn config(
        &self,
        registry: Option<&str>,
        verify: bool,
    ) -> Result<ClientConfig, ClientError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("ring supports TLS 1.2 and 1.3");
        let builder = if verify {
            builder.with_root_certificates(self.roots_for(registry)?)
        } else {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unchecked(provider)))
        };
        let identity =
            registry.and_then(|name| self.options.client_certificates.get_key_value(name));
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((registry, files)) => builder
                .with_client_auth_cert(
                    read_certificates(&files.certificate)?,
                    read_key(&files.key)?,
                )
                .map_err(|source| ClientError::ClientCertificate {
                    registry: registry.clone(),
                    source,
                })?,
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    fn roots_for(&self, registry: Option<&str>) -> Result<RootCertStore, ClientError> {
        let mut roots = self.roots.clone();
        let own = registry.and_then(|name| self.options.registry_certificates.get(name));
        for path in own.into_iter().flatten() {
            roots.add_parsable_certificates(read_certificates(path)?);
        }
        Ok(roots)
    }
}

/// The system's bundle, or the one in its place; a missing or unreadable one is passed over, as everywhere.
fn bundle(options: &TlsOptions) -> Vec<CertificateDer<'static>> {
    let bundle = match &options.system_bundle {
        Some(bundle) => Some(bundle.clone()),
        None => BUNDLES
            .iter()
            .map(PathBuf::from)
            .find(|path| path.is_file()),
    };
    bundle
        .iter()
        .flat_map(|path| certificates_in(path))
        .collect()
}

/// Certificates in directories, passed over in the same way.
fn in_directories(options: &TlsOptions) -> Vec<CertificateDer<'static>> {
    let mut found = Vec::new();
    for directory in options.system_directories.iter().flatten() {
        let Ok(entries) = std::fs::read_dir(directory) else {
            continue;
        };
        let files = entries.flatten().filter(|entry| !is_alias(entry));
        found.extend(files.flat_map(|entry| certificates_in(&entry.path())));
    }
    found
}

/// Whether an entry is only another name of one beside it, as the links are that are called after a hash.
fn is_alias(entry: &DirEntry) -> bool {
    let target = std::fs::read_link(entry.path());
    target.is_ok_and(|target| target.parent() == Some(Path::new("")))
}

fn certificates_in(path: &Path) -> Vec<CertificateDer<'static>> {
    read_certificates(path).unwrap_or_default()
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let text = read(path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .filter_map(Result::ok)
        .collect();
    if certificates.is_empty() {
        return Err(ClientError::Pem {
            path: path.to_owned(),
            expected: "certificate",
        });
    }
    Ok(certificates)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, ClientError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| ClientError::Pem {
        path: path.to_owned(),
        expected: "private key",
    })
}

fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    std::fs::read(path).map_err(|source: io::Error| ClientError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Accepts every certificate; signatures of the handshake are still checked.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Where the distributions keep their bundles.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn without_system() -> TlsOptions {
        TlsOptions {
            system_bundle: Some(PathBuf::from("/nonexistent")),
            ..TlsOptions::default()
        }
    }

    #[test]
    fn without_any_file_the_bundled_authorities_are_trusted() {
        let certificates = Certificates::load(&without_system()).unwrap();
        assert!(certificates.roots.len() > 50);
        certificates.config(None, true).unwrap();
        certificates.config(None, false).unwrap();
    }

    #[test]
    fn an_authority_in_a_directory_comes_on_top_of_the_bundled_ones() {
        let bundled = Certificates::load(&without_system()).unwrap().roots.len();
        let folder = tempfile::tempdir().unwrap();
        let company = include_bytes!("../tests/data/authority.pem");
        std::fs::write(folder.path().join("company.crt"), company).unwrap();
        let options = TlsOptions {
            system_directories: Some(vec![folder.path().to_owned()]),
            ..without_system()
        };
        let with_company = Certificates::load(&options).unwrap();
        assert_eq!(with_company.roots.len(), bundled + 1);
    }

    #[test]
    fn named_files_must_hold_what_they_are_named_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let options = TlsOptions {
            certificates: vec![path.clone()],
            ..without_system()
        };
        let missing = Certificates::load(&options).unwrap_err();
        assert!(matches!(missing, ClientError::Read { .. }));
        std::fs::write(&path, "no certificate").unwrap();
        let empty = Certificates::load(&options).unwrap_err();
        assert!(matches!(empty, ClientError::Pem { .. }));
    }
}
