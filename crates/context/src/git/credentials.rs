//! Credentials for git over http, which never show themselves.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Who to be towards a git server. Its `Debug` form keeps the secret.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GitCredentials {
    /// A name and a password.
    Password {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
    /// A token; the name beside it matters to few servers and is made up if it is missing.
    Token {
        /// The name, if one is given.
        username: Option<String>,
        /// The token.
        token: String,
    },
    /// The whole value of the `Authorization` header.
    Header(String),
}

/// The name that servers expect beside a token.
const TOKEN_USER: &str = "x-access-token";

impl GitCredentials {
    /// What `GIT_TOKEN`, `GIT_USERNAME` and `GIT_PASSWORD` say; empty ones count as missing.
    #[must_use]
    pub fn from_parts(
        token: Option<&str>,
        username: Option<&str>,
        password: Option<&str>,
    ) -> Option<Self> {
        let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        match (given(token), given(username), given(password)) {
            (Some(token), username, _) => Some(Self::Token { username, token }),
            (None, None, None) => None,
            (None, username, password) => Some(Self::Password {
                username: username.unwrap_or_default(),
                password: password.unwrap_or_default(),
            }),
        }
    }

    /// The value of the `Authorization` header.
    pub(crate) fn authorization(&self) -> String {
        let (username, password) = match self {
            Self::Header(value) => return value.clone(),
            Self::Password { username, password } => (username.as_str(), password),
            Self::Token { username, token } => (username.as_deref().unwrap_or(TOKEN_USER), token),
        };
        format!(
            "Basic {}",
            STANDARD.encode(format!("{username}:{password}"))
        )
    }

    /// A message without what these hold.
    pub(crate) fn redacted(credentials: Option<&Self>, message: &str) -> String {
        let secrets = credentials.map(Self::secrets).unwrap_or_default();
        let secrets = secrets.iter().filter(|secret| !secret.is_empty());
        secrets.fold(message.trim().to_owned(), |message, secret| {
            message.replace(secret.as_str(), "***")
        })
    }

    /// What must not appear in any text.
    fn secrets(&self) -> Vec<String> {
        let plain = match self {
            Self::Header(value) => value.clone(),
            Self::Password { password, .. } => password.clone(),
            Self::Token { token, .. } => token.clone(),
        };
        let authorization = self.authorization();
        let encoded = authorization
            .rsplit(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        vec![plain, authorization, encoded]
    }
}

impl fmt::Debug for GitCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password(…)",
            Self::Token { .. } => "Token(…)",
            Self::Header(_) => "Header(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_make_credentials() {
        let of = |token, username, password| {
            let found = GitCredentials::from_parts(token, username, password);
            found.map(|found| found.authorization())
        };
        let basic = |text: &str| Some(format!("Basic {}", STANDARD.encode(text)));
        assert_eq!(of(None, None, None), None);
        assert_eq!(of(Some(""), Some(""), None), None);
        assert_eq!(of(Some("t"), None, None), basic("x-access-token:t"));
        assert_eq!(of(Some("t"), Some("me"), Some("p")), basic("me:t"));
        assert_eq!(of(None, Some("me"), Some("p")), basic("me:p"));
        let header = GitCredentials::Header("Bearer x".to_owned());
        assert_eq!(header.authorization(), "Bearer x");
    }
}
