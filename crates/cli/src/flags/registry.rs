//! Flags that say how registries are reached, by kaniko's names.

use super::go::{KeyValue, Switch};

/// Flags of every command that talks to a registry.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Options (kaniko's names)")]
pub struct RegistryFlags {
    /// Built-in credential providers: env, google, ecr, acr, gitlab; empty for none (default: all)
    #[arg(long, value_name = "NAME")]
    pub credential_helpers: Vec<String>,
    /// Further attempts at fetching a base image
    #[arg(long, value_name = "N")]
    pub image_download_retry: Option<u32>,
    /// Further attempts at unpacking a base image
    #[arg(long, value_name = "N")]
    pub image_fs_extract_retry: Option<u32>,
    /// Push over plain HTTP where TLS is not spoken
    #[arg(long, value_name = "BOOL")]
    pub insecure: Option<Switch>,
    /// Pull over plain HTTP where TLS is not spoken
    #[arg(long, value_name = "BOOL")]
    pub insecure_pull: Option<Switch>,
    /// Registry to reach over plain HTTP
    #[arg(long, value_name = "HOST")]
    pub insecure_registry: Vec<String>,
    /// A tag that must not change and exists already counts as pushed
    #[arg(long, value_name = "BOOL")]
    pub push_ignore_immutable_tag_errors: Option<Switch>,
    /// Further attempts at a push
    #[arg(long, value_name = "N")]
    pub push_retry: Option<u32>,
    /// Certificate authority of a registry
    #[arg(long, value_name = "HOST=FILE")]
    pub registry_certificate: Vec<KeyValue>,
    /// Client certificate and key for a registry
    #[arg(long, value_name = "HOST=CERT,KEY")]
    pub registry_client_cert: Vec<KeyValue>,
    /// Pull from another registry than the one named, several separated by `;`
    #[arg(long, value_name = "OLD=NEW")]
    pub registry_map: Vec<String>,
    /// Pull through this registry instead of docker.io
    #[arg(long, value_name = "HOST[/PATH]")]
    pub registry_mirror: Vec<String>,
    /// Fail when no mirror has an image, without asking the registry itself
    #[arg(long, value_name = "BOOL")]
    pub skip_default_registry_fallback: Option<Switch>,
    /// Do not try push permission before the build
    #[arg(long, value_name = "BOOL")]
    pub skip_push_permission_check: Option<Switch>,
    /// Push to registries with any certificate
    #[arg(long, value_name = "BOOL")]
    pub skip_tls_verify: Option<Switch>,
    /// Pull from registries with any certificate
    #[arg(long, value_name = "BOOL")]
    pub skip_tls_verify_pull: Option<Switch>,
    /// Registry whose certificate is not verified
    #[arg(long, value_name = "HOST")]
    pub skip_tls_verify_registry: Vec<String>,
}
