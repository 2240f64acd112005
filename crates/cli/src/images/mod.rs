//! Moving images without building them: between registries, OCI layouts and archives.
//!
//! `place::Place` is what people write for an image, `held::Held` an image on this machine, `transfer` the way of
//! blobs and manifests into a repository. One file per command holds the rest.

mod cleanup;
mod copy;
mod held;
mod index;
mod inspect;
mod place;
mod push;
mod referrers;
mod tags;
mod transfer;
mod warm;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use yadokari_image::{Platform, Reference, Repository};
use yadokari_registry::{Client, Options, RegistryError};
use yadokari_sandbox::Cancel;

use crate::console::Console;
use crate::convert::{ConsoleSettings, UsageError, registry};
use crate::environment::Environment;
use crate::flags::RegistryFlags;
use crate::flags::images::{Cleanup, CommonFlags, Copy, IndexCreate, Inspect, Push, Tags, Warm};
use crate::interrupt::{Interrupt, Told};
use crate::report::Failure;
use crate::services::registry::options;

/// A command of this family.
#[derive(Debug, Clone)]
pub enum Task {
    /// An archive or layout goes to registries.
    Push(Box<Push>),
    /// An image goes from anywhere to anywhere.
    Copy(Box<Copy>),
    /// Images become an index.
    Index(Box<IndexCreate>),
    /// What an image is.
    Inspect(Box<Inspect>),
    /// What a repository holds by name.
    Tags(Box<Tags>),
    /// Old tags go.
    Cleanup(Box<Cleanup>),
    /// Base images are fetched ahead.
    Warm(Box<Warm>),
}

/// What all of the commands work with.
pub(crate) struct Ground<'a> {
    pub(crate) client: Client,
    /// What the client was made with.
    pub(crate) options: Options,
    pub(crate) environment: &'a Environment,
    pub(crate) console: &'a Console,
    /// Goes when the command ends, with what it holds.
    pub(crate) scratch: TempDir,
}

impl Task {
    fn flags(&self) -> &CommonFlags {
        match self {
            Self::Push(push) => &push.common,
            Self::Copy(copy) => &copy.common,
            Self::Index(index) => &index.common,
            Self::Inspect(inspect) => &inspect.common,
            Self::Tags(tags) => &tags.common,
            Self::Cleanup(cleanup) => &cleanup.common,
            Self::Warm(warm) => &warm.common,
        }
    }

    /// What is told, and how.
    ///
    /// # Errors
    ///
    /// A flag's value that means nothing.
    pub fn console(&self, environment: &Environment) -> Result<ConsoleSettings, Failure> {
        crate::convert::console_of(&self.flags().log, environment)
            .map_err(|error| Failure::from(&error))
    }

    /// Does it, and gives what belongs on standard output. A signal ends it; what was half done is removed.
    ///
    /// # Errors
    ///
    /// What stopped it.
    pub async fn until_signal(
        &self,
        environment: &Environment,
        console: &Console,
    ) -> Result<String, Failure> {
        let cancel = Cancel::new();
        let interrupt = Interrupt::listen().map_err(failed)?;
        let work = async {
            tokio::select! {
                done = self.run(environment, console) => done,
                () = cancelled(&cancel) => Err(Failure::told("stopped by a signal")),
            }
        };
        let told = |told: Told| console.notice(&told.to_string());
        let done = interrupt.guard(&cancel, told, work).await;
        done.unwrap_or_else(|interrupted| Err(failed(interrupted)))
    }

    /// Does it, and gives what belongs on standard output.
    ///
    /// # Errors
    ///
    /// What stopped it.
    pub async fn run(
        &self,
        environment: &Environment,
        console: &Console,
    ) -> Result<String, Failure> {
        let ground = Ground::new(&self.flags().registry, environment, console)?;
        match self {
            Self::Push(push) => push::run(push, &ground).await,
            Self::Copy(copy) => copy::run(copy, &ground).await,
            Self::Index(index) => index::run(index, &ground).await,
            Self::Inspect(inspect) => inspect::run(inspect, &ground).await,
            Self::Tags(tags) => tags::run(tags, &ground).await,
            Self::Cleanup(cleanup) => cleanup::run(cleanup, &ground).await,
            Self::Warm(warm) => warm::run(warm, &ground).await,
        }
    }
}

async fn cancelled(cancel: &Cancel) {
    while !cancel.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl<'a> Ground<'a> {
    fn new(
        flags: &RegistryFlags,
        environment: &'a Environment,
        console: &'a Console,
    ) -> Result<Self, Failure> {
        let settings = registry::settings(flags, environment).map_err(|error| usage(&error))?;
        let options = options(&settings, environment).map_err(|error| usage(&error))?;
        Ok(Self {
            client: Client::new(options.clone()).map_err(|error| Failure::new(&error))?,
            options,
            environment,
            console,
            scratch: scratch(environment)?,
        })
    }

    /// Tells how far things are.
    pub(crate) fn tell(&self, text: &str) {
        self.console.tell(text);
    }

    /// Tells what needs attention but stops nothing.
    pub(crate) fn warn(&self, text: &str) {
        self.console.notice(text);
    }
}

/// A directory for blobs on their way, where builds have theirs too.
fn scratch(environment: &Environment) -> Result<TempDir, Failure> {
    let named = ["YADOKARI_DIR", "KANIKO_DIR"]
        .iter()
        .find_map(|name| environment.path(name));
    let directory: PathBuf = environment
        .directory
        .join(named.unwrap_or_else(|| environment.default_state_dir()));
    let made = std::fs::create_dir_all(&directory)
        .and_then(|()| TempDir::with_prefix_in("images-", &directory));
    made.map_err(|error| {
        Failure::told(format!(
            "cannot make a directory in {}: {error}",
            directory.display()
        ))
    })
}

/// Parses a name that an argument gave.
fn argument(text: &str) -> Result<Reference, Failure> {
    Reference::parse(text).map_err(|source| {
        usage(&UsageError::Name {
            value: text.to_owned(),
            source,
        })
    })
}

/// Parses a name that a flag gave.
fn reference(flag: &'static str, text: &str) -> Result<Reference, Failure> {
    Reference::parse(text).map_err(|source| {
        usage(&UsageError::Reference {
            flag,
            value: text.to_owned(),
            source,
        })
    })
}

/// Parses the name of a repository, which has no tag and no digest.
fn repository(text: &str) -> Result<Repository, Failure> {
    let name = argument(text)?;
    if name.tag().is_some() || name.digest().is_some() {
        return Err(usage(&UsageError::Argument {
            value: text.to_owned(),
            reason: "name the repository alone, without a tag or digest",
        }));
    }
    Ok(name.name().clone())
}

/// Says what has to be given.
fn unsaid(what: &'static str, how: &'static str) -> Failure {
    usage(&UsageError::Unsaid { what, how })
}

/// Parses a platform, or gives this machine's.
fn platform(flag: &'static str, text: Option<&str>) -> Result<Platform, Failure> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(Platform::host());
    };
    Platform::parse(text).map_err(|error| {
        usage(&UsageError::Value {
            flag,
            value: text.to_owned(),
            reason: error.to_string(),
        })
    })
}

fn usage(error: &UsageError) -> Failure {
    Failure::from(error)
}

/// An error of a library as a failure.
fn failed<E: Error + 'static>(error: E) -> Failure {
    Failure::new(&error)
}

/// An error of a registry, with its hint.
fn refused(error: RegistryError) -> Failure {
    Failure {
        hint: error.hint(),
        ..Failure::new(&error)
    }
}
