//! Client for container registries: the OCI distribution API over one HTTP stack.
//!
//! [`Client`] pulls manifests, configs and blobs, pushes blobs and manifests, mounts,
//! lists, also what refers to a manifest, and deletes. What goes over the wire is written down in `oci-client`'s
//! types; requests are made here, so that authentication, mirrors, retries, resumed
//! transfers and TLS follow one set of rules for every operation.
//!
//! Everything a registry says is hostile: documents are capped in size, blobs are
//! checked against digest and size, and credentials go to the host they belong to
//! and nowhere else. Settings come in through [`Options`]; neither the environment
//! nor the clock is read here.

mod authorize;
mod blob;
mod challenge;
mod client;
pub mod cloud;
pub mod credentials;
mod date;
mod delete;
mod download;
mod downloads;
mod endpoint;
mod error;
mod greet;
mod held;
mod host;
mod login;
mod manifest;
mod mirror;
mod options;
mod pages;
mod places;
mod proxy;
mod referrers;
mod resolve;
mod response;
mod retry;
mod secret;
mod source;
mod tags;
mod tls;
mod token;
mod transport;
mod upload;
mod uploading;

pub use blob::BlobReader;
pub use client::Client;
pub use cloud::Clouds;
pub use credentials::{Candidate, Candidates, Credential, CredentialError, Credentials};
pub use downloads::{confidential_client, download_client};
pub use error::{Cause, ClientError, Operation, RegistryError};
pub use greet::{Greeting, LoginKind};
pub use manifest::{Accept, ManifestHead, RawManifest};
pub use mirror::{Mirror, MirrorError, parse_registry_map};
pub use options::{ClientCertificate, ExtraTries, Options, Proxies, Scope, Timeouts, TlsOptions};
pub use referrers::referrers_tag;
pub use resolve::ResolvedImage;
pub use retry::RetryPolicy;
pub use secret::Secret;
pub use source::{Reader, Source};
pub use upload::{Mount, UploadSession};
