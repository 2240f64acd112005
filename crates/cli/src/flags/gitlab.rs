//! `gitlab`: what GitLab's variables mean for images.

/// `gitlab`.
#[derive(Debug, Clone, clap::Args)]
pub struct Gitlab {
    /// What to do.
    #[command(subcommand)]
    pub command: GitlabCommand,
}

/// What `gitlab` can be asked for.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum GitlabCommand {
    /// Print the names that this pipeline's image should get
    Tags(Tags),
}

/// `gitlab tags`.
#[derive(Debug, Clone, clap::Args)]
pub struct Tags {
    /// The image's name without a tag (default: $CI_REGISTRY_IMAGE)
    #[arg(long, value_name = "NAME")]
    pub image: Option<String>,
    /// Name with fields, as --destination-template of `build` takes it (default: the image's name with :{auto})
    #[arg(long, value_name = "TEMPLATE")]
    pub template: Vec<String>,
    /// Print the names as a JSON array
    #[arg(long)]
    pub json: bool,
}
