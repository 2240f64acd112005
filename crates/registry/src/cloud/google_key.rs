//! A service account's key: a claim signed with it is exchanged for a token.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::google::{KeyFile, read_token};
use super::{AccessToken, CloudError, Clouds, form};

/// How long a claim is good for, in seconds; Google allows no more.
const VALIDITY: u64 = 3600;

pub(super) async fn token(
    clouds: &Clouds,
    file: &KeyFile,
    scope: &str,
) -> Result<AccessToken, CloudError> {
    let server = file.token_server();
    let claim = signed_claim(file, &server, scope, (clouds.clock)())?;
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", &claim),
    ];
    let answer = clouds
        .web
        .json(form(&file.place, &server, &fields)?)
        .await?;
    read_token(&server, &answer, &file.place)
}

/// A JSON web token in which the account asks for a scope.
fn signed_claim(
    file: &KeyFile,
    server: &str,
    scope: &str,
    now: SystemTime,
) -> Result<String, CloudError> {
    let issued = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": file.optional("private_key_id")});
    let claim = json!({
        "iss": file.text("client_email")?,
        "scope": scope,
        "aud": server,
        "iat": issued,
        "exp": issued + VALIDITY,
    });
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encoded(&header), encoded(&claim));
    let key = key(file)?;
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        text.as_bytes(),
        &mut signature,
    )
    .map_err(|_| unusable(file))?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn key(file: &KeyFile) -> Result<RsaKeyPair, CloudError> {
    let text = file.text("private_key")?;
    let key = match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(PrivateKeyDer::Pkcs8(key)) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        Ok(PrivateKeyDer::Pkcs1(key)) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        _ => return Err(unusable(file)),
    };
    key.map_err(|_| unusable(file))
}

/// Why a key cannot be used says something about the key, so it is not told.
fn unusable(file: &KeyFile) -> CloudError {
    file.wrong("`private_key` is no RSA key in PEM form".to_owned())
}
