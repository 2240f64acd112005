//! Profiles in Amazon's shared files: keys, roles, programs, single sign-on.

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures::future::BoxFuture;
use ini::Ini;
use reqsign_aws_v4::{
    AssumeRoleCredentialProvider, AssumeRoleWithWebIdentityCredentialProvider, Credential,
    ECSCredentialProvider, EnvCredentialProvider, IMDSv2CredentialProvider,
    ProcessCredentialProvider, SSOCredentialProvider,
};
use reqsign_core::{Context, ProvideCredentialDyn};

use super::aws::{ask, signer};
use super::{CloudError, Clouds};

/// How many profiles may lean on each other.
const DEPTH: usize = 5;

type Section = BTreeMap<String, String>;

/// The profiles of both files, and the way to what they point at.
pub(super) struct Profiles<'a> {
    context: &'a Context,
    region: &'a str,
    sections: BTreeMap<String, Section>,
}

/// The credential of the chosen profile; none if no profile is chosen and the default one says nothing.
pub(super) async fn credential(
    clouds: &Clouds,
    context: &Context,
    region: &str,
) -> Result<Option<Credential>, CloudError> {
    let environment = &clouds.environment;
    let chosen = environment
        .value("AWS_PROFILE")
        .or_else(|| environment.value("AWS_DEFAULT_PROFILE"));
    let profiles = Profiles {
        context,
        region,
        sections: sections(clouds).await?,
    };
    match chosen {
        Some(name) => profiles.resolve(name, DEPTH).await.map(Some),
        None if !profiles.sections.contains_key("default") => Ok(None),
        None if profiles.sections["default"]
            .keys()
            .all(|key| !SPEAKING.contains(&key.as_str())) =>
        {
            Ok(None)
        }
        None => profiles.resolve("default", DEPTH).await.map(Some),
    }
}

/// Settings that say where a credential is; the others of a profile are about regions and output.
const SPEAKING: [&str; 6] = [
    "aws_access_key_id",
    "role_arn",
    "credential_process",
    "sso_session",
    "sso_start_url",
    "sso_account_id",
];

/// All profiles by name; what the file of credentials says wins.
async fn sections(clouds: &Clouds) -> Result<BTreeMap<String, Section>, CloudError> {
    let environment = &clouds.environment;
    let place = |variable: &str, usual: &str| {
        environment
            .path(variable)
            .or_else(|| Some(environment.path("HOME")?.join(usual)))
    };
    let mut all = BTreeMap::new();
    for path in [
        place("AWS_CONFIG_FILE", ".aws/config"),
        place("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
    ] {
        merge(path, &mut all).await?;
    }
    Ok(all)
}

async fn merge(
    path: Option<PathBuf>,
    all: &mut BTreeMap<String, Section>,
) -> Result<(), CloudError> {
    let Some(path) = path.filter(|path| path.is_file()) else {
        return Ok(());
    };
    let text = super::read_named(&path).await?;
    let file = Ini::load_from_str_noescape(&text).map_err(|error| CloudError::Setting {
        place: path.display().to_string(),
        reason: format!("line {}: not a profile file", error.line),
    })?;
    for (name, properties) in file.iter() {
        let name = name.unwrap_or_default();
        let name = name
            .strip_prefix("profile ")
            .unwrap_or(name)
            .trim()
            .to_owned();
        let settings = properties
            .iter()
            .map(|(key, value)| (key.to_ascii_lowercase(), value.to_owned()));
        all.entry(name).or_default().extend(settings);
    }
    Ok(())
}

impl Profiles<'_> {
    fn resolve<'a>(
        &'a self,
        name: &'a str,
        depth: usize,
    ) -> BoxFuture<'a, Result<Credential, CloudError>> {
        Box::pin(async move {
            let wrong = |reason: &str| CloudError::Setting {
                place: format!("AWS profile `{name}`"),
                reason: reason.to_owned(),
            };
            let section = self
                .sections
                .get(name)
                .ok_or_else(|| wrong("there is no such profile"))?;
            if depth == 0 {
                return Err(wrong("its source profiles never end"));
            }
            let text = |key: &str| {
                section
                    .get(key)
                    .map(String::as_str)
                    .filter(|text| !text.is_empty())
            };
            if let (Some(role), None) = (
                text("role_arn"),
                (depth < DEPTH).then(|| keys(section)).flatten(),
            ) {
                return self.assume(name, section, role, depth).await;
            }
            if let Some(credential) = keys(section) {
                return Ok(credential);
            }
            let source: Box<dyn ProvideCredentialDyn<Credential = Credential>> =
                match text("credential_process") {
                    Some(command) => {
                        Box::new(ProcessCredentialProvider::new().with_command(command))
                    }
                    None if section.keys().any(|key| key.starts_with("sso_")) => {
                        Box::new(SSOCredentialProvider::new().with_profile(name))
                    }
                    None => {
                        return Err(wrong(
                            "it has neither keys nor a role, a process or single sign-on",
                        ));
                    }
                };
            let found = ask("the AWS profile", source.as_ref(), self.context).await?;
            found.ok_or_else(|| wrong("its source gives no credential"))
        })
    }

    /// Takes on a role, as whoever the profile says that we are to begin with.
    async fn assume(
        &self,
        name: &str,
        section: &Section,
        role: &str,
        depth: usize,
    ) -> Result<Credential, CloudError> {
        let text = |key: &str| {
            section
                .get(key)
                .map(String::as_str)
                .filter(|text| !text.is_empty())
        };
        let wrong = |reason: &str| CloudError::Setting {
            place: format!("AWS profile `{name}`"),
            reason: reason.to_owned(),
        };
        if text("mfa_serial").is_some() {
            return Err(wrong(
                "its role wants a code from a device, which nobody is there to type",
            ));
        }
        if let Some(file) = text("web_identity_token_file") {
            let source = AssumeRoleWithWebIdentityCredentialProvider::with_config(
                role.to_owned(),
                file.into(),
            )
            .with_region(self.region.to_owned())
            .with_regional_sts_endpoint();
            let found = ask("the AWS profile's web identity", &source, self.context).await?;
            return found.ok_or_else(|| wrong("its web identity gives no credential"));
        }
        let first = match (text("source_profile"), text("credential_source")) {
            (Some(source), _) => self.resolve(source, depth - 1).await?,
            (None, Some(source)) => self
                .credential_source(source)
                .await?
                .ok_or_else(|| wrong("its credential_source has nothing"))?,
            (None, None) => {
                return Err(wrong(
                    "it has a role_arn and neither source_profile nor credential_source",
                ));
            }
        };
        let sts = signer(self.context.clone(), first, "sts", self.region);
        let mut source = AssumeRoleCredentialProvider::new(role.to_owned(), sts)
            .with_region(self.region.to_owned())
            .with_regional_sts_endpoint()
            .with_role_session_name(text("role_session_name").unwrap_or("yadokari").to_owned());
        if let Some(id) = text("external_id") {
            source = source.with_external_id(id.to_owned());
        }
        let found = ask("the AWS profile's role", &source, self.context).await?;
        found.ok_or_else(|| wrong("its role gives no credential"))
    }

    async fn credential_source(&self, source: &str) -> Result<Option<Credential>, CloudError> {
        let source: Box<dyn ProvideCredentialDyn<Credential = Credential>> = match source {
            "Environment" => Box::new(EnvCredentialProvider::new()),
            "EcsContainer" => Box::new(ECSCredentialProvider::new()),
            "Ec2InstanceMetadata" => Box::new(IMDSv2CredentialProvider::new()),
            other => {
                return Err(CloudError::Setting {
                    place: "credential_source of an AWS profile".to_owned(),
                    reason: format!("`{other}` is not known"),
                });
            }
        };
        ask(
            "the AWS profile's credential_source",
            source.as_ref(),
            self.context,
        )
        .await
    }
}

fn keys(section: &Section) -> Option<Credential> {
    Some(Credential {
        access_key_id: section.get("aws_access_key_id")?.clone(),
        secret_access_key: section.get("aws_secret_access_key")?.clone(),
        session_token: section.get("aws_session_token").cloned(),
        expires_in: None,
    })
}
