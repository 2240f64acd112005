//! Trying credentials before they are stored.

use reqwest::Method;
use yadokari_image::Repository;

use crate::authorize::Scopes;
use crate::client::{Call, Client};
use crate::credentials::{Candidate, Credential};
use crate::endpoint::{Endpoint, Purpose};
use crate::transport::Request;
use crate::{Cause, Operation, RegistryError};

impl Client {
    /// Asks a registry, by its host, whether it takes a credential.
    ///
    /// A registry that wants none takes any. Other credentials, and none at all, are not tried.
    ///
    /// # Errors
    ///
    /// [`Cause::NotAuthorized`] if the credential is refused, else why the registry cannot be asked.
    pub async fn check_login(
        &self,
        registry: &str,
        credential: Credential,
    ) -> Result<(), RegistryError> {
        let host = registry.split('/').next().unwrap_or(registry);
        let repository = Repository::new(host, "login").map_err(|_| no_host(registry))?;
        let endpoint = Endpoint::new(&repository, Purpose::Push);
        let call = Call {
            endpoint: &endpoint,
            operation: Operation::LogIn,
            scopes: Scopes::none(),
        };
        let candidate = Candidate {
            credential,
            source: "the login".to_owned(),
        };
        let policy = self.inner.options.tries(Purpose::Push);
        policy.run(|| self.try_login(&call, &candidate)).await
    }

    async fn try_login(&self, call: &Call<'_>, candidate: &Candidate) -> Result<(), RegistryError> {
        let at_login = |error| RegistryError {
            operation: Operation::LogIn,
            ..error
        };
        let contact = self.inner.meet(call.endpoint).await.map_err(at_login)?;
        let url = contact
            .base
            .join("v2/")
            .expect("a constant path fits every base");
        let request = Request::new(Method::GET, url);
        let answer = self
            .inner
            .send_as(call.endpoint, &contact, &call.scopes, &request, candidate);
        answer.await.map(drop).map_err(|cause| call.failed(cause))
    }
}

fn no_host(registry: &str) -> RegistryError {
    RegistryError {
        registry: registry.to_owned(),
        repository: String::new(),
        operation: Operation::LogIn,
        cause: Box::new(Cause::Protocol {
            what: "not the name of a host",
        }),
    }
}
