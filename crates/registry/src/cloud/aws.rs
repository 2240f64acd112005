//! Amazon's credentials and signatures.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;

use bytes::Bytes;
use reqsign_aws_v4::{
    AssumeRoleWithWebIdentityCredentialProvider, Credential, ECSCredentialProvider,
    EnvCredentialProvider, IMDSv2CredentialProvider, RequestSigner, StaticCredentialProvider,
};
use reqsign_core::{
    CommandExecute, CommandOutput, Context, Env, Error, FileRead, HttpSend, ProvideCredential,
    ProvideCredentialDyn, Result, Signer,
};
use sha2::{Digest as _, Sha256};

use super::{CloudError, Clouds, aws_profile};
use crate::credentials::Environment;

const LOOKED: &str = "AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE, profiles, the container's and the machine's role";
/// The header in which the body's digest is signed along.
const CONTENT_DIGEST: &str = "x-amz-content-sha256";

pub(super) async fn sign(
    clouds: &Clouds,
    service: &str,
    region: &str,
    request: &mut http::Request<Bytes>,
) -> std::result::Result<String, CloudError> {
    let context = context(clouds);
    let (credential, source) = credential(clouds, &context, region).await?;
    let digest: String = Sha256::digest(request.body())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let digest = http::HeaderValue::from_str(&digest).expect("hexadecimal digits are plain text");
    request.headers_mut().insert(CONTENT_DIGEST, digest);
    let (mut parts, body) =
        std::mem::replace(request, http::Request::new(Bytes::new())).into_parts();
    let signed = signer(context, credential, service, region)
        .sign(&mut parts, None)
        .await;
    *request = http::Request::from_parts(parts, body);
    signed
        .map_err(|error| failed("signature", &error))
        .map(|()| source.to_owned())
}

/// The first credential that is found, in the order of Amazon's own programs.
///
/// A source that is set up and fails ends the search: another identity than the one that was meant is
/// worse than none.
async fn credential(
    clouds: &Clouds,
    context: &Context,
    region: &str,
) -> std::result::Result<(Credential, &'static str), CloudError> {
    let web_identity = AssumeRoleWithWebIdentityCredentialProvider::new()
        .with_region(region.to_owned())
        .with_regional_sts_endpoint();
    if let Some(found) = ask("AWS_ACCESS_KEY_ID", &EnvCredentialProvider::new(), context).await? {
        return Ok((found, "AWS_ACCESS_KEY_ID"));
    }
    if let Some(found) = ask("AWS_WEB_IDENTITY_TOKEN_FILE", &web_identity, context).await? {
        return Ok((found, "AWS_WEB_IDENTITY_TOKEN_FILE"));
    }
    if let Some(found) = aws_profile::credential(clouds, context, region).await? {
        return Ok((found, "the AWS profile"));
    }
    if let Some(found) = ask(
        "the container's role",
        &ECSCredentialProvider::new(),
        context,
    )
    .await?
    {
        return Ok((found, "the container's role"));
    }
    // A machine that is none of Amazon's has no metadata service, which is no mistake of anybody.
    match IMDSv2CredentialProvider::new()
        .provide_credential(context)
        .await
    {
        Ok(Some(found)) => Ok((found, "the machine's role")),
        absent => {
            tracing::debug!(?absent, "no metadata service of AWS");
            Err(CloudError::NoIdentity {
                cloud: "AWS",
                looked: LOOKED,
            })
        }
    }
}

pub(super) async fn ask(
    name: &'static str,
    source: &dyn ProvideCredentialDyn<Credential = Credential>,
    context: &Context,
) -> std::result::Result<Option<Credential>, CloudError> {
    source
        .provide_credential_dyn(context)
        .await
        .map_err(|error| failed(name, &error))
}

/// The message of an error and of what lies behind it; requests and answers are no part of it.
fn failed(source_name: &'static str, error: &Error) -> CloudError {
    let behind = std::error::Error::source(error).map(|source| format!(": {source}"));
    CloudError::Amazon {
        source_name,
        reason: format!("{error}{}", behind.unwrap_or_default()),
    }
}

/// Signs with a credential that is there already.
pub(super) fn signer(
    context: Context,
    credential: Credential,
    service: &str,
    region: &str,
) -> Signer<Credential> {
    let mut fixed =
        StaticCredentialProvider::new(&credential.access_key_id, &credential.secret_access_key);
    if let Some(token) = &credential.session_token {
        fixed = fixed.with_session_token(token);
    }
    Signer::new(context, fixed, RequestSigner::new(service, region))
}

fn context(clouds: &Clouds) -> Context {
    Context::new()
        .with_env(Variables(clouds.environment.clone()))
        .with_file_read(Files)
        .with_http_send(Http(clouds.clone()))
        .with_command_execute(Programs(clouds.environment.clone()))
}

/// The address of a service that the user has put in the place of Amazon's.
pub(crate) fn endpoint(environment: &Environment, service: &str) -> Option<String> {
    if environment
        .value("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    {
        return None;
    }
    let own = format!(
        "AWS_ENDPOINT_URL_{}",
        service.to_ascii_uppercase().replace('-', "_")
    );
    let named = environment
        .value(&own)
        .or_else(|| environment.value("AWS_ENDPOINT_URL"))?;
    Some(named.trim_end_matches('/').to_owned())
}

#[derive(Debug)]
struct Variables(Environment);

impl Env for Variables {
    fn var(&self, key: &str) -> Option<String> {
        self.0.value(key).map(str::to_owned)
    }

    fn vars(&self) -> HashMap<String, String> {
        let set = self.0.all().iter().filter(|(_, value)| !value.is_empty());
        set.map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    fn home_dir(&self) -> Option<PathBuf> {
        self.0.path("HOME")
    }
}

#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> Result<Vec<u8>> {
        let read = tokio::fs::read(path).await;
        read.map_err(|error| Error::config_invalid(format!("cannot read {path}: {error}")))
    }
}

/// Sends what has to go to a service of Amazon, or to the metadata services, which speak plain HTTP.
#[derive(Debug)]
struct Http(Clouds);

impl HttpSend for Http {
    async fn http_send(&self, mut request: http::Request<Bytes>) -> Result<http::Response<Bytes>> {
        let near = request.uri().scheme_str() == Some("http");
        self.redirect(&mut request);
        let answer = if near {
            self.0.web.send_near(request).await
        } else {
            self.0.web.send(request).await
        };
        answer.map_err(|error| Error::unexpected(error.to_string()))
    }
}

impl Http {
    /// Goes to the endpoint that the user names for the token service, if there is one.
    fn redirect(&self, request: &mut http::Request<Bytes>) {
        let host = request.uri().host().unwrap_or_default();
        let service = match host.split('.').next().unwrap_or_default() {
            "sts" => "sts",
            "portal" => "sso",
            _ => return,
        };
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        let elsewhere = endpoint(&self.0.environment, service).map(|base| format!("{base}{path}"));
        if let Some(uri) = elsewhere.and_then(|uri| uri.parse().ok()) {
            *request.uri_mut() = uri;
        }
    }
}

/// Runs the `credential_process` of a profile.
#[derive(Debug)]
struct Programs(Environment);

impl CommandExecute for Programs {
    async fn command_execute<'a>(
        &'a self,
        program: &'a str,
        arguments: &'a [&'a str],
    ) -> Result<CommandOutput> {
        let output = tokio::process::Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(self.0.all())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| Error::config_invalid(format!("cannot run {program}: {error}")))?;
        Ok(CommandOutput {
            status: output.status.code().unwrap_or(1),
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }
}
