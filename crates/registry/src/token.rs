//! Tokens: asking a token server, and keeping what it gave until it expires.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use oci_client::token_cache::RegistryToken;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::response::{read_body, rejection};
use crate::transport::{Authorization, Caller, Payload, Request, Transport, without_query};
use crate::{Cause, Credential, Secret};

/// Where tokens for a registry come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TokenServer {
    pub(crate) realm: Url,
    pub(crate) service: Option<String>,
}

/// What a token is for: server, scopes, and which credential asked.
pub(crate) type TokenKey = (TokenServer, Vec<String>, Option<String>);

/// Tokens in use. Requests that need the same one wait for a single fetch.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    slots: Mutex<HashMap<TokenKey, Arc<Slot>>>,
}

type Slot = tokio::sync::Mutex<Option<Token>>;

#[derive(Debug, Clone)]
struct Token {
    value: Secret,
    expires: Instant,
}

impl TokenServer {
    /// Reads a challenge's realm. A registry that is reached by HTTPS may not send us to a plain one.
    pub(crate) fn parse(base: &Url, realm: &str, service: Option<String>) -> Result<Self, Cause> {
        let insecure = || Cause::InsecureRealm {
            realm: realm.chars().take(200).collect(),
        };
        let realm = base.join(realm).map_err(|_| insecure())?;
        let allowed =
            realm.scheme() == "https" || (realm.scheme() == "http" && base.scheme() == "http");
        if !allowed {
            return Err(insecure());
        }
        Ok(Self { realm, service })
    }
}

impl Tokens {
    /// A token for `key`, and whether it was fetched just now.
    pub(crate) async fn obtain(
        &self,
        transport: &Transport,
        caller: Caller<'_>,
        key: &TokenKey,
        credential: Option<&Credential>,
    ) -> Result<(Secret, bool), Cause> {
        let slot = self.slot(key);
        let mut kept = slot.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| token.expires > Instant::now()) {
            return Ok((token.value.clone(), false));
        }
        let (server, scopes, _) = key;
        let token = fetch(transport, caller, server, scopes, credential).await?;
        let value = token.value.clone();
        *kept = Some(token);
        Ok((value, true))
    }

    /// Forgets a token that a registry refused, unless a newer one has taken its place.
    pub(crate) async fn discard(&self, key: &TokenKey, refused: &Secret) {
        let slot = self.slot(key);
        let mut kept = slot.lock().await;
        if kept.as_ref().is_some_and(|token| token.value == *refused) {
            *kept = None;
        }
    }

    fn slot(&self, key: &TokenKey) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(key.clone()).or_default())
    }
}

/// The value of `Authorization` for a user name and password.
pub(crate) fn basic(username: &str, password: &Secret) -> Option<HeaderValue> {
    let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
    sensitive(&format!("Basic {pair}"))
}

/// The value of `Authorization` for a token.
pub(crate) fn bearer(token: &Secret) -> Option<HeaderValue> {
    sensitive(&format!("Bearer {}", token.expose()))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

async fn fetch(
    transport: &Transport,
    caller: Caller<'_>,
    server: &TokenServer,
    scopes: &[String],
    credential: Option<&Credential>,
) -> Result<Token, Cause> {
    let (request, authorization) = match credential {
        Some(Credential::IdentityToken(token)) => (exchange_request(server, scopes, token), None),
        Some(Credential::Password { username, password }) => {
            let authorization = basic(username, password).map(|value| Authorization {
                value,
                origin: server.realm.origin(),
            });
            (grant_request(server, scopes, Some(username)), authorization)
        }
        _ => (grant_request(server, scopes, None), None),
    };
    let response = transport
        .send(caller, &request, authorization.as_ref())
        .await?;
    if response.status() != StatusCode::OK {
        let refused = rejection(response, transport.patience()).await;
        return Err(as_token_server(refused, &server.realm));
    }
    const LIMIT: u64 = 1024 * 1024;
    let body = read_body(response, LIMIT, transport.patience()).await?;
    read_token(&body).ok_or_else(|| Cause::NoToken {
        realm: without_query(&server.realm),
    })
}

/// Keeps a refusal and what may pass as they are. Any other answer must not be taken for the
/// registry's: a token server's 404 says nothing about an image.
fn as_token_server(cause: Cause, realm: &Url) -> Cause {
    match cause {
        Cause::Rejected {
            status, message, ..
        } if !matches!(status, 400 | 401 | 403 | 408 | 429 | 500..) => Cause::TokenServer {
            realm: without_query(realm),
            status,
            message,
        },
        other => other,
    }
}

/// `GET realm?service=…&scope=…`, the token protocol of the distribution project.
fn grant_request(
    server: &TokenServer,
    scopes: &[String],
    account: Option<&String>,
) -> Request<'static> {
    let mut url = server.realm.clone();
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = &server.service {
            query.append_pair("service", service);
        }
        for scope in scopes {
            query.append_pair("scope", scope);
        }
        if let Some(account) = account {
            query.append_pair("account", account);
        }
        query.append_pair("client_id", CLIENT);
    }
    Request::new(Method::GET, url)
}

/// The OAuth2 form, which turns an identity token into an access token.
fn exchange_request(server: &TokenServer, scopes: &[String], token: &Secret) -> Request<'static> {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "refresh_token")
        .append_pair("client_id", CLIENT)
        .append_pair("refresh_token", token.expose());
    if !scopes.is_empty() {
        form.append_pair("scope", &scopes.join(" "));
    }
    if let Some(service) = &server.service {
        form.append_pair("service", service);
    }
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    Request::new(Method::POST, server.realm.clone())
        .header(CONTENT_TYPE, kind)
        .body(Payload::Bytes(Bytes::from(form.finish())))
}

fn read_token(body: &[u8]) -> Option<Token> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let lifetime = value.get("expires_in").and_then(Value::as_u64);
    let token: RegistryToken = serde_json::from_value(value.clone()).ok()?;
    let text = match token.token() {
        "" => value
            .get("access_token")?
            .as_str()
            .filter(|text| !text.is_empty())?,
        text => text,
    };
    let lifetime = lifetime.unwrap_or(DEFAULT_LIFETIME).min(MAX_LIFETIME);
    // A token is renewed a little early: it has to live until the registry looks at it.
    let early = (lifetime / 10).min(10);
    Some(Token {
        value: Secret::new(text),
        expires: Instant::now() + Duration::from_secs(lifetime - early),
    })
}

const CLIENT: &str = "yadokari";
/// What the protocol says when `expires_in` is missing, in seconds.
const DEFAULT_LIFETIME: u64 = 60;
const MAX_LIFETIME: u64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secure_registry_may_not_name_a_plain_realm() {
        let parse = |base: &str, realm: &str| {
            TokenServer::parse(&Url::parse(base).unwrap(), realm, None)
                .map(|server| server.realm.to_string())
        };
        assert_eq!(
            parse("https://r/", "https://auth/token").unwrap(),
            "https://auth/token"
        );
        assert_eq!(parse("https://r/", "/token").unwrap(), "https://r/token");
        assert_eq!(
            parse("http://localhost/", "http://localhost/t").unwrap(),
            "http://localhost/t"
        );
        for realm in ["http://auth/token", "file:///etc/passwd", "ftp://x/"] {
            assert!(
                matches!(parse("https://r/", realm), Err(Cause::InsecureRealm { .. })),
                "{realm}"
            );
        }
    }

    #[test]
    fn tokens_come_under_two_names_and_not_empty() {
        let value =
            |body: &str| read_token(body.as_bytes()).map(|token| token.value.expose().to_owned());
        assert_eq!(
            value(r#"{"token":"a","access_token":"b"}"#).as_deref(),
            Some("a")
        );
        assert_eq!(
            value(r#"{"access_token":"b","expires_in":1}"#).as_deref(),
            Some("b")
        );
        assert_eq!(
            value(r#"{"token":"","access_token":"b"}"#).as_deref(),
            Some("b")
        );
        for body in ["", "{}", "[]", r#"{"token":""}"#, r#"{"token":1}"#, "null"] {
            assert_eq!(value(body), None, "{body}");
        }
    }

    #[test]
    fn several_scopes_are_several_parameters() {
        let server = TokenServer {
            realm: Url::parse("https://a/t?x=1").unwrap(),
            service: Some("s".to_owned()),
        };
        let scopes = [
            "repository:a:pull,push".to_owned(),
            "repository:b:pull".to_owned(),
        ];
        let url = grant_request(&server, &scopes, None).url;
        assert_eq!(
            url.as_str(),
            "https://a/t?x=1&service=s&scope=repository%3Aa%3Apull%2Cpush&scope=repository%3Ab%3Apull&client_id=yadokari"
        );
    }
}
