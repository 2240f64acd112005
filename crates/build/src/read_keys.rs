//! What keys need to know of files: digests of everything a step reads from outside the plan.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use yadokari_context::{ContentHasher, ContextError, ContextFiles, Selected as Digested};
use yadokari_dockerfile::instruction::MountKind;
use yadokari_image::Digest;
use yadokari_plan::{
    Base, ContentKey, Contents, Copy, ImageKey, Operation, Plan, RunMount, Source,
};
use yadokari_tree::{Follow, Tree, TreePath};

use crate::copy::{CopyFailure, Selected, select, select_with_parents, taken};
use crate::error::{BuildError, BuildErrorKind};
use crate::images::SourceImage;
use crate::inputs::Inputs;
use crate::services::Services;
use crate::step::remote::Remotes;

/// Digests files of the contexts; every file is hashed once.
#[derive(Debug)]
pub(crate) struct FileKeys<'a> {
    context: Option<Arc<ContextFiles>>,
    named: HashMap<String, Arc<ContextFiles>>,
    images: &'a BTreeMap<ImageKey, SourceImage>,
    remotes: &'a Remotes,
}

impl<'a> FileKeys<'a> {
    /// Lists the contexts that the plan reads at all.
    pub(crate) async fn new(
        plan: &Plan,
        inputs: &Inputs,
        images: &'a BTreeMap<ImageKey, SourceImage>,
        remotes: &'a Remotes,
        services: &Services,
    ) -> Result<Self, BuildError> {
        let mut keys = Self {
            context: None,
            named: HashMap::new(),
            images,
            remotes,
        };
        for source in read_contexts(plan) {
            match source {
                Source::Context => {
                    keys.context = Some(inputs.context.files(services.threads).await?);
                }
                Source::Named(name) => {
                    let files = inputs.named[&name].files(services.threads).await?;
                    keys.named.insert(name, files);
                }
                Source::Stage(_) | Source::Image(_) | Source::Scratch => {}
            }
        }
        Ok(keys)
    }

    fn files(&self, source: &Source) -> Option<&Arc<ContextFiles>> {
        match source {
            Source::Context => self.context.as_ref(),
            Source::Named(name) => self.named.get(name),
            Source::Stage(_) | Source::Image(_) | Source::Scratch => None,
        }
    }
}

/// The contexts that the steps of a plan read.
fn read_contexts(plan: &Plan) -> Vec<Source> {
    let mut found: Vec<Source> = Vec::new();
    let mut add = |source: &Source| {
        if !found.contains(source) {
            found.push(source.clone());
        }
    };
    for stage in &plan.stages {
        if let Base::Context(name) = &stage.base {
            add(&Source::Named(name.clone()));
        }
        for step in &stage.steps {
            match &step.operation {
                Operation::Copy(copy) if !copy.sources.is_empty() => add(&copy.from),
                Operation::Run(run) => run
                    .mounts
                    .iter()
                    .filter_map(|mount| mount.from.as_ref())
                    .for_each(&mut add),
                _ => {}
            }
        }
    }
    found
}

impl Contents for FileKeys<'_> {
    type Error = BuildError;

    fn copied(&self, copy: &Copy) -> Result<ContentKey, BuildError> {
        let remote = self.remotes.digest(copy);
        let Some(files) = self.files(&copy.from).filter(|_| !copy.sources.is_empty()) else {
            return Ok(ContentKey(remote));
        };
        // A source that is missing fails when the step runs, where the error knows its line.
        Ok(local(files, copy)?.map_or(ContentKey([0; 32]), |local| {
            joined(&remote, local.as_bytes())
        }))
    }

    fn mounted(&self, mount: &RunMount) -> Result<ContentKey, BuildError> {
        let Some(files) = mount.from.as_ref().and_then(|from| self.files(from)) else {
            return Ok(ContentKey([0; 32]));
        };
        let asked = TreePath::parse(mount.mount.source.as_deref().unwrap_or("/"));
        let found = files.tree().resolve(asked.as_bytes(), Follow::All);
        let Some(found) = found.ok().filter(|found| found.node.is_some()) else {
            return Ok(ContentKey([0; 32]));
        };
        let whole = Digested {
            path: found.path,
            name: Vec::new(),
            whole: mount.mount.kind == MountKind::Bind,
        };
        Ok(ContentKey(*files.digest(&[whole])?.as_bytes()))
    }

    fn image(&self, key: &ImageKey) -> Result<ContentKey, BuildError> {
        let missing =
            || BuildErrorKind::Refused("an image of the plan was not resolved".to_owned());
        let image = self.images.get(key).ok_or_else(missing)?;
        Ok(ContentKey(*image.digest().as_bytes()))
    }

    fn context(&self, name: &str) -> Result<ContentKey, BuildError> {
        let files = &self.named[name];
        Ok(ContentKey(
            *files
                .digest(&[Digested::contents(TreePath::root())])?
                .as_bytes(),
        ))
    }
}

/// Digests the files that a copy takes from a context; `None` if a source is missing.
fn local(files: &ContextFiles, copy: &Copy) -> Result<Option<Digest>, BuildError> {
    let mut hasher = ContentHasher::new();
    for word in &copy.sources {
        let Ok(parts) = parts(files.tree(), copy, word) else {
            return Ok(None);
        };
        for part in parts {
            let paths: Vec<_> = match &part.filtered {
                Some(tree) => tree
                    .files()
                    .map(|(path, _)| part.digested.path.join(path.as_bytes()))
                    .collect(),
                None => vec![part.digested.path.clone()],
            };
            files.digests(&paths)?;
            let added = match &part.filtered {
                Some(tree) => hasher.source(
                    tree,
                    &Digested {
                        path: TreePath::root(),
                        ..part.digested
                    },
                ),
                None => hasher.source(files.tree(), &part.digested),
            };
            added.map_err(ContextError::from)?;
        }
    }
    Ok(Some(hasher.finish()))
}

/// One thing that a source names; of a directory that is not copied whole, what is left of it.
struct Part {
    digested: Digested,
    filtered: Option<Tree>,
}

fn parts(tree: &Tree, copy: &Copy, word: &str) -> Result<Vec<Part>, CopyFailure> {
    let exclude = copy.exclude.as_ref().map(|(_, patterns)| patterns);
    if copy.parents {
        let source = select_with_parents(tree, word)?;
        let filtered = Some(taken(&source.pivot, Some(&source.pattern), exclude)?);
        // Names are relative to the pivot, and in the filtered tree; what the pivot is called does not matter.
        let digested = Digested {
            path: source.pivot.path,
            name: Vec::new(),
            whole: false,
        };
        return Ok(vec![Part { digested, filtered }]);
    }
    let part = |found: Selected| {
        let is_filtered = exclude.is_some() && found.node.is_directory();
        let filtered = is_filtered
            .then(|| taken(&found, None, exclude))
            .transpose()?;
        Ok(Part {
            digested: Digested {
                path: found.path,
                name: found.name,
                whole: false,
            },
            filtered,
        })
    };
    select(tree, word)?.into_iter().map(part).collect()
}

fn joined(remote: &[u8; 32], local: &[u8; 32]) -> ContentKey {
    use sha2::{Digest as _, Sha256};
    let mut hasher = Sha256::new();
    hasher.update(remote);
    hasher.update(local);
    ContentKey(hasher.finalize().into())
}
