//! [`ImageConfig`]: how a container of the image starts, and how the image came to be.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::{DiffId, Digest, Platform, Unknown};

/// The config of an image.
///
/// Written with top-level keys in alphabetical order, unknown ones among them. A
/// missing creation time, history or list of diff ids is written `null`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct ImageConfig {
    /// The architecture in Go's words, such as `amd64`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub architecture: String,
    /// Who made the image.
    #[serde(default)]
    pub author: Option<String>,
    /// How a container of the image starts.
    #[serde(default, deserialize_with = "null_as_default")]
    pub config: ContainerConfig,
    /// When the image was made, RFC 3339.
    #[serde(default)]
    pub created: Option<String>,
    /// What each step did, first step first.
    #[serde(default)]
    pub history: Option<Vec<History>>,
    /// The operating system in Go's words.
    #[serde(default, deserialize_with = "null_as_default")]
    pub os: String,
    /// Features the image needs; only Windows images have some.
    #[serde(default, rename = "os.features", deserialize_with = "null_as_default")]
    pub os_features: Vec<String>,
    /// The version of the operating system; only Windows images have one.
    #[serde(default, rename = "os.version")]
    pub os_version: Option<String>,
    /// The layers' diff ids.
    #[serde(default, deserialize_with = "null_as_default")]
    pub rootfs: RootFs,
    /// The variant of the architecture, such as `v7`.
    #[serde(default)]
    pub variant: Option<String>,
    /// Fields this type has no name for.
    #[serde(flatten)]
    pub other: Unknown,
}

/// How a container of the image starts; empty fields are not written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// `user[:group]`, by name or number; empty is root.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub user: String,
    /// Ports such as `80/tcp`.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// `NAME=value`, in order.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub env: Vec<String>,
    /// The program and its first arguments.
    #[serde(default, skip_serializing_if = "none_or_empty")]
    pub entrypoint: Option<Vec<String>>,
    /// The program, or the default arguments of the entrypoint.
    #[serde(default, skip_serializing_if = "none_or_empty")]
    pub cmd: Option<Vec<String>>,
    /// Directories that get a volume.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub volumes: BTreeMap<String, Empty>,
    /// Where the program starts; empty is `/`.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub working_dir: String,
    /// Free labels.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the program to end.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub stop_signal: String,
    /// Whether the arguments are already escaped; Windows only.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub args_escaped: bool,
    /// How to find out whether a container works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Instructions that run in builds on top of the image.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub on_build: Vec<String>,
    /// The shell of the shell form; empty is the platform's.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub shell: Vec<String>,
    /// Fields this type has no name for.
    #[serde(flatten)]
    pub other: Unknown,
}

/// A healthcheck; durations are nanoseconds, 0 means the default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", text]`; empty inherits.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub test: Vec<String>,
    /// Time between two checks, in nanoseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// Time a check may take, in nanoseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Time in which failures do not count, in nanoseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Time between two checks during the start period, in nanoseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row that make a container unhealthy.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: i64,
}

/// One step of an image's making.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// When the step ended, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub created_by: String,
    /// Who made the image, as of this step.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub author: String,
    /// Free text; builders name themselves here.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub comment: String,
    /// Whether the step left no layer.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub empty_layer: bool,
    /// Fields this type has no name for.
    #[serde(flatten)]
    pub other: Unknown,
}

/// The layers of an image by their uncompressed digests, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The diff ids; `None` is written `null`, which is how an image without layers looks.
    #[serde(default)]
    pub diff_ids: Option<Vec<DiffId>>,
}

/// The value of a set member: `{}`. Whatever stands there is read as it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Empty {}

impl Default for RootFs {
    fn default() -> Self {
        Self {
            kind: "layers".to_owned(),
            diff_ids: None,
        }
    }
}

impl ImageConfig {
    /// An empty config for `platform`.
    #[must_use]
    pub fn new(platform: &Platform) -> Self {
        let mut config = Self::default();
        config.set_platform(platform);
        config
    }

    /// Reads a config.
    ///
    /// # Errors
    ///
    /// The decoder's message if the bytes are no image config.
    pub fn parse(bytes: &[u8]) -> Result<Self, crate::DocumentError> {
        serde_json::from_slice(bytes).map_err(|source| crate::DocumentError::Json {
            document: "image config",
            source,
        })
    }

    /// The bytes that are stored: compact, keys in order.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        crate::json::compact(self)
    }

    /// The image id: the digest of [`Self::to_bytes`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// The diff ids, lowest first; none if the field is `null`.
    #[must_use]
    pub fn diff_ids(&self) -> &[DiffId] {
        self.rootfs.diff_ids.as_deref().unwrap_or_default()
    }

    /// The history, first step first; none if the field is `null`.
    #[must_use]
    pub fn history(&self) -> &[History] {
        self.history.as_deref().unwrap_or_default()
    }

    /// The platform the config names.
    #[must_use]
    pub fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone().filter(|variant| !variant.is_empty()),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
        }
    }

    /// Overwrites the platform.
    pub fn set_platform(&mut self, platform: &Platform) {
        self.os.clone_from(&platform.os);
        self.architecture.clone_from(&platform.architecture);
        self.variant.clone_from(&platform.variant);
        self.os_version.clone_from(&platform.os_version);
        self.os_features.clone_from(&platform.os_features);
    }
}

impl ContainerConfig {
    /// The value of an environment variable; the last of several wins.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<&str> {
        self.env.iter().rev().find_map(|entry| {
            entry
                .split_once('=')
                .and_then(|(found, value)| (found == name).then_some(value))
        })
    }
}

impl Serialize for ImageConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields: BTreeMap<&str, Value> = self
            .other
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()))
            .collect();
        fields.insert("architecture", Value::from(self.architecture.as_str()));
        fields.insert("config", value(&self.config)?);
        fields.insert("created", value(&self.created)?);
        fields.insert("history", value(&self.history)?);
        fields.insert("os", Value::from(self.os.as_str()));
        fields.insert("rootfs", value(&self.rootfs)?);
        let texts = [
            ("author", &self.author),
            ("os.version", &self.os_version),
            ("variant", &self.variant),
        ];
        for (key, text) in texts {
            if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
                fields.insert(key, Value::from(text));
            }
        }
        if !self.os_features.is_empty() {
            fields.insert("os.features", value(&self.os_features)?);
        }
        fields.serialize(serializer)
    }
}

fn value<T: Serialize, E: serde::ser::Error>(field: &T) -> Result<Value, E> {
    serde_json::to_value(field).map_err(E::custom)
}

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self {})
    }
}

/// Reads `null` as the type's default, since Go writes nil slices and maps so.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn none_or_empty(list: &Option<Vec<String>>) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(config: &ImageConfig) -> String {
        String::from_utf8(config.to_bytes()).unwrap()
    }

    #[test]
    fn an_image_without_layers_and_steps_has_nulls() {
        let config = ImageConfig::new(&Platform::new("linux", "amd64"));
        let expected = r#"{"architecture":"amd64","config":{},"created":null,"history":null,"os":"linux","rootfs":{"type":"layers","diff_ids":null}}"#;
        assert_eq!(text(&config), expected);
        assert_eq!(ImageConfig::parse(expected.as_bytes()).unwrap(), config);
    }

    #[test]
    fn a_full_config_survives_byte_for_byte() {
        let full = r#"{"architecture":"arm","author":"me","config":{"User":"1:2","ExposedPorts":{"53/udp":{},"80/tcp":{}},"Env":["B=1","A=\u003c\u0026\u003e"],"Entrypoint":["/e"],"Cmd":["c"],"Volumes":{"/v":{}},"WorkingDir":"/w","Labels":{"a":"1","b":"2"},"StopSignal":"SIGINT","ArgsEscaped":true,"Healthcheck":{"Test":["CMD","x"],"Interval":1,"Timeout":2,"StartPeriod":3,"StartInterval":4,"Retries":5},"OnBuild":["RUN x"],"Shell":["/bin/sh"],"Zed":{"y":1,"x":2}},"created":"2020-01-01T00:00:00Z","history":[{"created":"2020-01-01T00:00:00Z","created_by":"RUN x","author":"me","comment":"c","empty_layer":true}],"moby.buildkit.cache.v0":"x","os":"linux","os.features":["f"],"os.version":"1","rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},"variant":"v7","zzz":null}"#;
        let config = ImageConfig::parse(full.as_bytes()).unwrap();
        assert_eq!(text(&config), full);
    }

    #[test]
    fn nulls_of_go_are_read_as_empty_and_not_written() {
        let nulls = r#"{"architecture":"a","os":"b","config":{"User":null,"Env":null,"Cmd":null,"Entrypoint":null,"Volumes":null,"Labels":null,"OnBuild":null,"ExposedPorts":{"80/tcp":null},"Healthcheck":null,"Shell":null},"rootfs":null,"os.features":null}"#;
        let config = ImageConfig::parse(nulls.as_bytes()).unwrap();
        let expected = r#"{"architecture":"a","config":{"ExposedPorts":{"80/tcp":{}}},"created":null,"history":null,"os":"b","rootfs":{"type":"layers","diff_ids":null}}"#;
        assert_eq!(text(&config), expected);
    }

    #[test]
    fn empty_lists_are_not_written() {
        let config = ImageConfig {
            config: ContainerConfig {
                cmd: Some(Vec::new()),
                entrypoint: Some(Vec::new()),
                ..ContainerConfig::default()
            },
            ..ImageConfig::new(&Platform::new("linux", "amd64"))
        };
        assert!(
            text(&config).contains(r#""config":{},"#),
            "{}",
            text(&config)
        );
    }

    #[test]
    fn the_last_of_equal_variables_wins() {
        let config = ContainerConfig {
            env: vec!["A=1".to_owned(), "A=2=3".to_owned(), "AB=4".to_owned()],
            ..ContainerConfig::default()
        };
        assert_eq!(config.env("A"), Some("2=3"));
        assert_eq!(config.env("B"), None);
    }

    #[test]
    fn hostile_configs_are_errors_and_not_panics() {
        let deep = format!("{{\"x\":{}", "[".repeat(100_000));
        let wrong_env = r#"{"config":{"Env":"x"}}"#;
        let wrong_id = r#"{"rootfs":{"type":"layers","diff_ids":["sha256:00"]}}"#;
        for bytes in ["", "[]", "null", "{", wrong_env, wrong_id, &deep] {
            assert!(ImageConfig::parse(bytes.as_bytes()).is_err());
        }
    }
}
