//! Who we are to Amazon, Google and Microsoft, as the environment and the machine tell it.
//!
//! [`Clouds`] finds an identity in the places where each cloud's own programs look: variables,
//! files, the token of a Kubernetes or CI job, the metadata service of the machine. With it come the
//! access tokens and signatures that each cloud's registry asks for.
//!
//! Amazon's sources and signatures are `reqsign`'s. Those of the other two are written out here:
//! what is needed is a form that is posted, and a signature that `ring` makes.

mod aws;
mod aws_profile;
mod azure;
mod google;
mod google_external;
mod google_key;
mod web;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::credentials::Environment;
use crate::{Options, Secret};

pub(crate) use aws::endpoint as aws_endpoint;
pub(crate) use azure::{AzureToken, management};
pub(crate) use google::SCOPE as GOOGLE_SCOPE;
pub(crate) use web::{Web, form, get, json_field};

/// The identities that this process has in clouds. Nothing is asked before it is needed.
#[derive(Debug, Clone)]
pub struct Clouds {
    pub(crate) environment: Environment,
    pub(crate) web: Web,
    pub(crate) clock: fn() -> SystemTime,
}

/// A token that a cloud gave.
#[derive(Debug, Clone)]
pub(crate) struct AccessToken {
    pub(crate) value: Secret,
    /// How long it is good for, from when it was asked for.
    pub(crate) lifetime: Duration,
    /// Where the identity behind it was found, in words for the user.
    pub(crate) source: String,
}

/// Why there is no identity, or why a cloud does not accept it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CloudError {
    /// None of the places has an identity.
    #[error("no identity for {cloud} was found ({looked})")]
    NoIdentity {
        /// The cloud's name.
        cloud: &'static str,
        /// The places that were looked at.
        looked: &'static str,
    },
    /// A file that is named cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// A variable or a file says something that cannot be used.
    #[error("{place}: {reason}")]
    Setting {
        /// The variable or the file.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A token server or metadata service gives no answer.
    #[error("no answer from {host}: {reason}")]
    Unreachable {
        /// Who was asked.
        host: String,
        /// Why there is no answer.
        reason: String,
    },
    /// A token server or metadata service refuses.
    #[error("{host} refuses with status {status}: {message}")]
    Refused {
        /// Who was asked.
        host: String,
        /// HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// The answer lacks what it was asked for.
    #[error("the answer of {host} has no usable `{field}`")]
    Answer {
        /// Who was asked.
        host: String,
        /// What is missing.
        field: String,
    },
    /// Amazon's sources of credentials failed.
    #[error("{source_name}: {reason}")]
    Amazon {
        /// The source, such as `web identity token`.
        source_name: &'static str,
        /// What went wrong.
        reason: String,
    },
}

impl Clouds {
    /// Identities found through `environment`; servers are reached with the certificates and proxies of `options`.
    ///
    /// `clock` dates the signatures. Services of the machine itself are never asked through a proxy.
    #[must_use]
    pub fn new(environment: Environment, options: &Options, clock: fn() -> SystemTime) -> Self {
        Self {
            environment,
            web: Web::new(options),
            clock,
        }
    }

    /// An access token of Google for `scope`.
    pub(crate) async fn google_token(&self, scope: &str) -> Result<AccessToken, CloudError> {
        google::token(self, scope).await
    }

    /// An access token of Microsoft for a resource such as `https://management.azure.com`.
    pub(crate) async fn azure_token(&self, resource: &str) -> Result<AzureToken, CloudError> {
        azure::token(self, resource).await
    }

    /// Signs a request to a service of Amazon, and says where the identity was found.
    pub(crate) async fn sign_aws(
        &self,
        service: &str,
        region: &str,
        request: &mut http::Request<bytes::Bytes>,
    ) -> Result<String, CloudError> {
        aws::sign(self, service, region, request).await
    }
}

/// Reads a file that a variable names.
async fn read_named(path: &Path) -> Result<String, CloudError> {
    let failed = |source: io::Error| CloudError::Read {
        path: path.to_owned(),
        source: Arc::new(source),
    };
    tokio::fs::read_to_string(path).await.map_err(failed)
}
