//! Asking whether a registry is there, and what it wants.

use yadokari_image::Repository;

use crate::challenge::Challenge;
use crate::endpoint::{Endpoint, Purpose};
use crate::{Client, RegistryError};

/// What a registry answered to a first request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Greeting {
    /// The address that answered, with its protocol.
    pub address: String,
    /// How it wants to be logged in to; none if it lets everybody in.
    pub login: Option<LoginKind>,
}

/// The ways in which registries want credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginKind {
    /// With each request.
    Basic,
    /// For a token, from a server of its own.
    Token,
    /// In a way that is not known here, by its name.
    Unknown(String),
}

impl Client {
    /// Asks the registry of `repository` for its version, without credentials.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if nothing that speaks the protocol answers there.
    pub async fn greet(&self, repository: &Repository) -> Result<Greeting, RegistryError> {
        let endpoint = Endpoint::new(repository, Purpose::Push);
        let contact = self.inner.meet(&endpoint).await?;
        Ok(Greeting {
            address: contact.base.to_string(),
            login: contact.challenge().map(LoginKind::of),
        })
    }
}

impl LoginKind {
    fn of(challenge: Challenge) -> Self {
        match challenge {
            Challenge::Basic => Self::Basic,
            Challenge::Bearer { .. } => Self::Token,
            Challenge::Unknown(name) => Self::Unknown(name),
        }
    }
}
