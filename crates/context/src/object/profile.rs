//! Profiles of AWS: `~/.aws/credentials` and `~/.aws/config`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use object_store::aws::AmazonS3ConfigKey;

use super::ObjectStores;

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// `AWS_PROFILE` names one that no file has.
    #[error("there is no profile `{name}` in {} or {}", credentials.display(), config.display())]
    Missing {
        /// The profile.
        name: String,
        /// The file with keys.
        credentials: PathBuf,
        /// The file with all else.
        config: PathBuf,
    },
    /// The profile gets its keys in a way that needs a program or another profile.
    #[error(
        "profile `{name}` has no keys: `{setting}` is not followed here; set AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY, for instance with `aws configure export-credentials`"
    )]
    Unfollowed {
        /// The profile.
        name: String,
        /// Where its keys would come from.
        setting: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's words.
        source: io::Error,
    },
}

/// The settings of one profile, those of the file with keys before those of the other.
#[derive(Default)]
pub(super) struct Profile {
    name: String,
    settings: BTreeMap<String, String>,
}

impl Profile {
    /// Reads the profile that `AWS_PROFILE` names, or `default`, which need not exist.
    pub(super) fn load(stores: &ObjectStores) -> Result<Self, ProfileError> {
        let named = stores.variable("AWS_PROFILE");
        let name = named.unwrap_or("default").to_owned();
        let home = stores.path("HOME").unwrap_or_else(|| "/root".into());
        let file = |variable, usual| stores.path(variable).unwrap_or_else(|| home.join(usual));
        let credentials = file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
        let config = file("AWS_CONFIG_FILE", ".aws/config");
        let keys = section(&read(&credentials)?, &[&name]);
        let rest = section(&read(&config)?, &[&name, &format!("profile {name}")]);
        if keys.is_none() && rest.is_none() && named.is_some() {
            return Err(ProfileError::Missing {
                name,
                credentials,
                config,
            });
        }
        let mut settings = rest.unwrap_or_default();
        settings.extend(keys.unwrap_or_default());
        Ok(Self { name, settings })
    }

    /// What says who asks: keys, or a role with a token's file.
    pub(super) fn credentials(&self) -> Result<Vec<(AmazonS3ConfigKey, String)>, ProfileError> {
        use AmazonS3ConfigKey::{
            AccessKeyId, RoleArn, RoleSessionName, SecretAccessKey, Token, WebIdentityTokenFile,
        };
        if self.settings.contains_key("aws_access_key_id") {
            return Ok(self.chosen(&[
                ("aws_access_key_id", AccessKeyId),
                ("aws_secret_access_key", SecretAccessKey),
                ("aws_session_token", Token),
            ]));
        }
        if self.settings.contains_key("web_identity_token_file") {
            return Ok(self.chosen(&[
                ("web_identity_token_file", WebIdentityTokenFile),
                ("role_arn", RoleArn),
                ("role_session_name", RoleSessionName),
            ]));
        }
        let unfollowed = [
            "credential_process",
            "sso_session",
            "sso_start_url",
            "source_profile",
        ];
        match unfollowed
            .into_iter()
            .find(|name| self.settings.contains_key(*name))
        {
            Some(setting) => Err(ProfileError::Unfollowed {
                name: self.name.clone(),
                setting,
            }),
            None => Ok(vec![]),
        }
    }

    /// Where its buckets are.
    pub(super) fn region(&self) -> Vec<(AmazonS3ConfigKey, String)> {
        self.chosen(&[("region", AmazonS3ConfigKey::Region)])
    }

    fn chosen(&self, wanted: &[(&str, AmazonS3ConfigKey)]) -> Vec<(AmazonS3ConfigKey, String)> {
        let found = |(name, key): &(&str, AmazonS3ConfigKey)| {
            Some((*key, self.settings.get(*name)?.clone()))
        };
        wanted.iter().filter_map(found).collect()
    }
}

/// A file that is not there is empty.
fn read(path: &Path) -> Result<String, ProfileError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(ProfileError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// The settings below `[name]`, for the first of the names that the file has.
fn section(text: &str, names: &[&str]) -> Option<BTreeMap<String, String>> {
    let mut found: Option<BTreeMap<String, String>> = None;
    let mut inside = false;
    for line in text.lines() {
        let line = line.trim_end();
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        if let Some(title) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
        {
            inside = names.contains(&title.trim());
            if inside {
                found.get_or_insert_default();
            }
        } else if let (true, Some((key, value))) = (inside, line.split_once('='))
            && !line.starts_with([' ', '\t'])
        {
            let settings = found.get_or_insert_default();
            settings.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(
        variables: &[(&str, &str)],
        credentials: &str,
        config: &str,
    ) -> Result<Profile, ProfileError> {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join(".aws");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("credentials"), credentials).unwrap();
        std::fs::write(directory.join("config"), config).unwrap();
        let home = [("HOME", home.path().to_str().unwrap())];
        let variables = home.iter().chain(variables);
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Profile::load(&ObjectStores::new(crate::testing::client(), variables))
    }

    const CREDENTIALS: &str = "\
# keys
[default]
aws_access_key_id = A
aws_secret_access_key=S=/+

[ci]
aws_access_key_id = B
aws_secret_access_key = T
aws_session_token = U
";
    const CONFIG: &str = "\
[default]
region = eu-north-1
s3 =
  region = nested
[profile ci]
region = eu-west-1
[profile process]
credential_process = /bin/false
[profile web]
role_arn = arn
web_identity_token_file = /t
";

    #[test]
    fn a_profile_is_joined_from_both_files() {
        use AmazonS3ConfigKey::{
            AccessKeyId, Region, RoleArn, SecretAccessKey, Token, WebIdentityTokenFile,
        };
        let owned = |pairs: &[(AmazonS3ConfigKey, &str)]| -> Vec<_> {
            pairs
                .iter()
                .map(|(key, value)| (*key, (*value).to_owned()))
                .collect()
        };
        let table = [
            (
                None,
                owned(&[(AccessKeyId, "A"), (SecretAccessKey, "S=/+")]),
                "eu-north-1",
            ),
            (
                Some("ci"),
                owned(&[(AccessKeyId, "B"), (SecretAccessKey, "T"), (Token, "U")]),
                "eu-west-1",
            ),
            (
                Some("web"),
                owned(&[(WebIdentityTokenFile, "/t"), (RoleArn, "arn")]),
                "",
            ),
        ];
        for (name, expected, region) in table {
            let variables: Vec<_> = name.map(|name| ("AWS_PROFILE", name)).into_iter().collect();
            let profile = profile(&variables, CREDENTIALS, CONFIG).unwrap();
            assert_eq!(profile.credentials().unwrap(), expected, "{name:?}");
            let expected = if region.is_empty() {
                vec![]
            } else {
                owned(&[(Region, region)])
            };
            assert_eq!(profile.region(), expected, "{name:?}");
        }
    }

    #[test]
    fn a_profile_that_cannot_be_used_says_why() {
        let missing = profile(&[("AWS_PROFILE", "nope")], CREDENTIALS, CONFIG);
        assert!(matches!(missing, Err(ProfileError::Missing { .. })));
        let process = profile(&[("AWS_PROFILE", "process")], CREDENTIALS, CONFIG).unwrap();
        let error = process.credentials().unwrap_err();
        assert!(
            error.to_string().contains("`credential_process`"),
            "{error}"
        );
        assert!(
            profile(&[], "", "")
                .unwrap()
                .credentials()
                .unwrap()
                .is_empty()
        );
    }
}
