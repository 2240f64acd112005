//! What a build reads before it plans: contexts, the Dockerfile, ignore files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use yadokari_context::{
    BuildContext, CheckoutOptions, ContextFiles, DockerfileName, FetchOptions, GitCredentials,
    IgnoreFile, PullMethod, Source, Stdin, fetch, find_dockerfile, ignore_file, keep_all,
};
use yadokari_dockerfile::ignore::Patterns;
use yadokari_dockerfile::{CheckOptions, Parsed, parse_with_check};
use yadokari_image::Reference;
use yadokari_plan::{ImageSource, NamedContext, PlanErrorKind};

use crate::blocking::blocking;
use crate::checks::tell;
use crate::drive::plan_request;
use crate::error::{BuildError, BuildErrorKind, SourceFile};
use crate::events::Event;
use crate::prepare::epoch::settled_arguments;
use crate::request::{BuildRequest, GitOptions, GitPull};
use crate::services::Services;
use crate::ssh::Agents;

/// Everything that was read.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// The Dockerfile as errors quote it.
    pub(crate) file: Arc<SourceFile>,
    pub(crate) parsed: Parsed,
    pub(crate) context: Arc<LocalFiles>,
    /// Named contexts that are files.
    pub(crate) named: BTreeMap<String, Arc<LocalFiles>>,
    /// Named contexts as the planner sees them.
    pub(crate) meanings: BTreeMap<String, NamedContext>,
    /// What `--ssh` names.
    pub(crate) agents: Agents,
    /// The build arguments, `SOURCE_DATE_EPOCH` being a number.
    pub(crate) build_args: Vec<(String, String)>,
}

/// The files of a build context, listed when something first asks.
#[derive(Debug)]
pub(crate) struct LocalFiles {
    context: BuildContext,
    pub(crate) ignore: Option<Ignore>,
    listed: tokio::sync::OnceCell<Arc<ContextFiles>>,
}

/// An ignore file and its patterns.
#[derive(Debug, Clone)]
pub(crate) struct Ignore {
    pub(crate) file: String,
    pub(crate) patterns: Patterns,
}

impl Inputs {
    /// Fetches the contexts and reads the Dockerfile.
    pub(crate) async fn load(
        request: &BuildRequest,
        services: &Services,
        scratch: &Path,
    ) -> Result<Self, BuildError> {
        let agents = Agents::open(&request.secrets.ssh)?;
        let context = fetch_main(request, services, scratch).await?;
        let found = read_dockerfile(request, services, &context, scratch).await?;
        let file = Arc::new(SourceFile {
            name: request.dockerfile_name.clone().unwrap_or(found.name),
            bytes: found.bytes,
        });
        let check = check_options(request).map_err(|error| error.in_file(&file))?;
        let parsed = parse_with_check(&file.bytes, check).map_err(|error| {
            services.events.on(Event::Source(&file));
            tell(services, &error.warnings);
            BuildError::from(error).in_file(&file)
        })?;
        let ignore = ignore_file(&context, found.own_ignore.as_ref())?;
        let context = Arc::new(LocalFiles::new(context, ignore)?);
        let mut inputs = Self {
            file,
            parsed,
            context,
            named: BTreeMap::new(),
            meanings: BTreeMap::new(),
            agents,
            build_args: request.build_args.clone(),
        };
        for (name, value) in &request.contexts.named {
            inputs
                .add_named(name, value, request, services, scratch)
                .await?;
        }
        let wanted = plan_request(request, &inputs, request.platforms.first());
        let settled = settled_arguments(&inputs, wanted, request, services, scratch).await;
        inputs.build_args = settled.map_err(|error| error.in_file(&inputs.file))?;
        Ok(inputs)
    }

    async fn add_named(
        &mut self,
        name: &str,
        value: &str,
        request: &BuildRequest,
        services: &Services,
        scratch: &Path,
    ) -> Result<(), BuildError> {
        let meaning = match image_source(value)? {
            Some(meaning) => meaning,
            None => {
                let bad = || PlanErrorKind::BadContext {
                    name: name.to_owned(),
                    value: value.to_owned(),
                };
                if !is_files(value) {
                    self.meanings
                        .insert(name.to_owned(), NamedContext::Unknown(value.to_owned()));
                    return Ok(());
                }
                let source = Source::parse(value).map_err(|_| BuildErrorKind::Plan(bad()))?;
                let context = fetch(
                    source,
                    scratch,
                    fetch_options(request, services, Stdin::Unavailable),
                )
                .await?;
                let ignore = ignore_file(&context, None)?;
                self.named
                    .insert(name.to_owned(), Arc::new(LocalFiles::new(context, ignore)?));
                NamedContext::Files
            }
        };
        self.meanings.insert(name.to_owned(), meaning);
        Ok(())
    }
}

/// Reads `docker-image://…` and `oci-layout://…`.
fn image_source(value: &str) -> Result<Option<NamedContext>, BuildError> {
    if let Some(name) = value.strip_prefix("docker-image://") {
        if name == "scratch" {
            return Ok(Some(NamedContext::Scratch));
        }
        let reference = Reference::parse(name).map_err(|source| {
            BuildErrorKind::Plan(PlanErrorKind::BadReference {
                name: name.to_owned(),
                source: Box::new(source),
            })
        })?;
        let source = ImageSource::Registry(reference.with_default_tag());
        return Ok(Some(NamedContext::Image(source)));
    }
    let layout = value.strip_prefix("oci-layout://");
    Ok(layout.map(|path| NamedContext::Image(ImageSource::Layout(path.to_owned()))))
}

/// Whether a value names files: a directory that exists, or a URL.
fn is_files(value: &str) -> bool {
    value.contains("://") || value.starts_with("git@") || Path::new(value).is_dir()
}

async fn fetch_main(
    request: &BuildRequest,
    services: &Services,
    scratch: &Path,
) -> Result<BuildContext, BuildError> {
    let source = Source::parse(&request.contexts.main)?;
    let mut options = fetch_options(request, services, standard_input(&request.contexts.main));
    options.sub_path = request
        .contexts
        .sub_path
        .as_ref()
        .map(|path| path.to_string_lossy().into_owned());
    Ok(fetch(source, scratch, options).await?)
}

async fn read_dockerfile(
    request: &BuildRequest,
    services: &Services,
    context: &BuildContext,
    scratch: &Path,
) -> Result<yadokari_context::DockerfileSource, BuildError> {
    let wanted = match request.dockerfile.as_str() {
        "" => DockerfileName::Default,
        given => DockerfileName::Given(given.to_owned()),
    };
    let stdin = standard_input(&request.dockerfile);
    Ok(find_dockerfile(&wanted, context, stdin, &services.http, scratch).await?)
}

/// Standard input, if the words ask for it.
fn standard_input(words: &str) -> Stdin {
    use std::io::IsTerminal as _;
    if !matches!(words, "-" | "tar://stdin") {
        Stdin::Unavailable
    } else if std::io::stdin().is_terminal() {
        Stdin::Terminal
    } else {
        Stdin::Stream(Box::new(std::io::stdin()))
    }
}

fn fetch_options(request: &BuildRequest, services: &Services, stdin: Stdin) -> FetchOptions {
    let git = &request.contexts.git;
    FetchOptions {
        checkout: checkout_options(git),
        branch: git.branch.clone(),
        pull_method: pull_method(git.pull),
        objects: services.objects.clone(),
        stdin,
        ..FetchOptions::new(services.http.clone(), services.git.clone())
    }
}

fn pull_method(pull: GitPull) -> PullMethod {
    match pull {
        GitPull::Https => PullMethod::Https,
        GitPull::Http => PullMethod::Http,
        GitPull::Git => PullMethod::Git,
    }
}

/// How repositories are checked out, contexts and sources of ADD alike.
pub(crate) fn checkout_options(git: &GitOptions) -> CheckoutOptions {
    let password = git
        .password
        .as_ref()
        .map(|secret| String::from_utf8_lossy(secret.expose()).into_owned());
    CheckoutOptions {
        credentials: GitCredentials::from_parts(None, git.username.as_deref(), password.as_deref()),
        insecure_tls: git.insecure_skip_tls,
        depth: git.depth.unwrap_or(1),
        keep_git_dir: None,
        submodules: git.recurse_submodules,
    }
}

/// The build argument that replaces the Dockerfile's own `check` directive.
const CHECK: &str = "BUILDKIT_DOCKERFILE_CHECK";

fn check_options(request: &BuildRequest) -> Result<Option<CheckOptions>, BuildError> {
    let argument = request
        .build_args
        .iter()
        .rev()
        .find(|(name, _)| name == CHECK)
        .map(|(_, value)| value);
    let given = request.check.as_ref().or(argument);
    Ok(given.map(|text| CheckOptions::parse(text)).transpose()?)
}

impl LocalFiles {
    fn new(context: BuildContext, ignore: Option<IgnoreFile>) -> Result<Self, BuildError> {
        let ignore = ignore.map(|file| match Patterns::parse(&file.bytes) {
            Ok(patterns) => Ok(Ignore {
                file: file.name,
                patterns,
            }),
            Err(source) => Err(BuildErrorKind::Ignore {
                file: file.name,
                source,
            }),
        });
        Ok(Self {
            context,
            ignore: ignore.transpose()?,
            listed: tokio::sync::OnceCell::new(),
        })
    }

    /// Where the files came from.
    pub(crate) fn context(&self) -> &BuildContext {
        &self.context
    }

    /// The directory on disk.
    pub(crate) fn path(&self) -> &Path {
        self.context.path()
    }

    /// The files the ignore file lets through; the context is walked once.
    pub(crate) async fn files(
        self: &Arc<Self>,
        threads: usize,
    ) -> Result<Arc<ContextFiles>, BuildError> {
        let list = || async {
            let this = Arc::clone(self);
            blocking(move || this.list(threads)).await.map(Arc::new)
        };
        self.listed.get_or_try_init(list).await.cloned()
    }

    fn list(&self, threads: usize) -> Result<ContextFiles, BuildError> {
        match &self.ignore {
            Some(ignore) => Ok(self.context.files_without(&ignore.patterns, threads)?),
            None => Ok(self.context.files(&keep_all, threads)?),
        }
    }
}
