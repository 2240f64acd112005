//! What keys need to know of files: digests of everything a step reads from outside the plan.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use yadokari_context::{ContentHasher, ContextError, ContextFiles, Selected as Digested};
use yadokari_dockerfile::instruction::MountKind;
use yadokari_plan::{
    Base, ContentKey, Contents, Copy, ImageKey, Operation, Plan, RunMount, Source,
};
use yadokari_tree::{Follow, Tree, TreePath};

use crate::copy::{CopyFailure, Selected, select, select_with_parents, taken};
use crate::error::{BuildError, BuildErrorKind};
use crate::prepare::facts::Facts;
use crate::prepare::images::SourceImage;
use crate::prepare::inputs::Inputs;
use crate::services::Services;
use crate::step::remote::Remotes;

/// Digests files of the contexts; every file is hashed once.
#[derive(Debug)]
pub(crate) struct FileKeys<'a> {
    context: Option<Arc<ContextFiles>>,
    named: HashMap<String, Arc<ContextFiles>>,
    images: &'a BTreeMap<ImageKey, SourceImage>,
    pub(super) remotes: &'a Remotes,
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

    /// The same of contexts that are listed already.
    #[cfg(test)]
    pub(crate) fn of(
        context: Arc<ContextFiles>,
        named: HashMap<String, Arc<ContextFiles>>,
        images: &'a BTreeMap<ImageKey, SourceImage>,
        remotes: &'a Remotes,
    ) -> Self {
        Self {
            context: Some(context),
            named,
            images,
            remotes,
        }
    }

    pub(super) fn files(&self, source: &Source) -> Option<&Arc<ContextFiles>> {
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
        let local = selected_content(files.tree(), copy, &|paths| {
            files.digests(paths)?;
            Ok(())
        })?;
        Ok(local.map_or(ContentKey([0; 32]), |ContentKey(local)| {
            joined(&remote, &local)
        }))
    }

    fn mounted(&self, mount: &RunMount) -> Result<ContentKey, BuildError> {
        let Some(files) = mount.from.as_ref().and_then(|from| self.files(from)) else {
            return Ok(ContentKey([0; 32]));
        };
        let content = mounted_content(files.tree(), mount, &|paths| {
            files.digests(paths)?;
            Ok(())
        })?;
        Ok(content.unwrap_or(ContentKey([0; 32])))
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

/// Makes sure that the contents of all files at or below some paths of a tree are digested.
pub(crate) type Hash<'a> = dyn Fn(&[TreePath]) -> Result<(), BuildError> + 'a;

/// Digests the files that a copy takes from a tree; `None` if a source is missing.
pub(crate) fn selected_content(
    tree: &Tree,
    copy: &Copy,
    hash: &Hash<'_>,
) -> Result<Option<ContentKey>, BuildError> {
    let mut hasher = ContentHasher::new();
    for word in &copy.sources {
        let Ok(parts) = parts(tree, copy, word) else {
            return Ok(None);
        };
        for part in parts {
            hash(&part.paths())?;
            let added = match &part.filtered {
                Some(filtered) => hasher.source(
                    filtered,
                    &Digested {
                        path: TreePath::root(),
                        ..part.digested
                    },
                ),
                None => hasher.source(tree, &part.digested),
            };
            added.map_err(ContextError::from)?;
        }
    }
    Ok(Some(ContentKey(*hasher.finish().as_bytes())))
}

/// Digests what a mount shows of a tree; `None` if that is not there.
pub(crate) fn mounted_content(
    tree: &Tree,
    mount: &RunMount,
    hash: &Hash<'_>,
) -> Result<Option<ContentKey>, BuildError> {
    let asked = TreePath::parse(mount.mount.source.as_deref().unwrap_or("/"));
    let found = tree.resolve(asked.as_bytes(), Follow::All);
    let Some(found) = found.ok().filter(|found| found.node.is_some()) else {
        return Ok(None);
    };
    hash(std::slice::from_ref(&found.path))?;
    let whole = Digested {
        path: found.path,
        name: Vec::new(),
        whole: mount.mount.kind == MountKind::Bind,
    };
    let digest = yadokari_context::selection_digest(tree, &[whole]).map_err(ContextError::from)?;
    Ok(Some(ContentKey(*digest.as_bytes())))
}

/// One thing that a source names; of a directory that is not copied whole, what is left of it.
pub(super) struct Part {
    digested: Digested,
    filtered: Option<Tree>,
}

impl Part {
    /// The files to digest.
    fn paths(&self) -> Vec<TreePath> {
        match &self.filtered {
            Some(tree) => tree
                .files()
                .map(|(path, _)| self.digested.path.join(path.as_bytes()))
                .collect(),
            None => vec![self.digested.path.clone()],
        }
    }

    pub(super) fn list(&self, tree: &Tree, facts: &mut Facts) {
        match &self.filtered {
            Some(filtered) => facts.list(filtered, &TreePath::root(), &self.digested.path),
            None => facts.list(tree, &self.digested.path, &self.digested.path),
        }
    }
}

pub(super) fn parts(tree: &Tree, copy: &Copy, word: &str) -> Result<Vec<Part>, CopyFailure> {
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

#[cfg(test)]
mod laws;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use yadokari_context::{BuildContext, keep_all};
    use yadokari_dockerfile::ignore::Patterns;

    use super::*;
    use crate::prepare::schedule::tests::planned;

    /// Files of a context: path, content, mode.
    type Files = [(&'static str, &'static str, u32)];

    /// The key of a copy's files in a context that is made for the purpose.
    fn key(files: &Files, ignored: &str, line: &str) -> Option<ContentKey> {
        let directory = tempfile::tempdir().unwrap();
        for (path, content, mode) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        let context = BuildContext::directory(directory.path()).unwrap();
        let patterns = Patterns::parse(ignored.as_bytes()).unwrap();
        let listed = match ignored {
            "" => context.files(&keep_all, 2),
            _ => context.files_without(&patterns, 2),
        };
        let listed = listed.unwrap();
        let plan = planned(&format!("FROM scratch\n{line}"), &[]);
        let Operation::Copy(copy) = &plan.target_stage().steps[0].operation else {
            panic!("{line} is no copy");
        };
        let hash = |paths: &[TreePath]| {
            listed.digests(paths)?;
            Ok::<(), BuildError>(())
        };
        selected_content(listed.tree(), copy, &hash).unwrap()
    }

    const ALL: &str = "COPY . /d/";

    #[test]
    fn contexts_whose_copies_differ_have_different_keys() {
        let contexts: [&Files; 11] = [
            &[("one/a", "x", 0o644), ("two/b", "y", 0o644)],
            &[("one/a", "y", 0o644), ("two/b", "x", 0o644)],
            &[("two/a", "x", 0o644), ("one/b", "y", 0o644)],
            &[("one/a", "x", 0o644), ("one/b", "y", 0o644)],
            &[("one/ab", "xy", 0o644)],
            &[("one/a", "xy", 0o644), ("two/b", "", 0o644)],
            &[("one/a", "", 0o644), ("two/b", "xy", 0o644)],
            &[("one/a", "x", 0o755), ("two/b", "y", 0o644)],
            &[("one/a", "x", 0o644), ("two/b", "y", 0o755)],
            &[
                ("one/a", "x", 0o644),
                ("two/b", "y", 0o644),
                ("two/c", "", 0o644),
            ],
            &[("one/a/two/b", "xy", 0o644)],
        ];
        let keys = contexts.map(|files| key(files, "", ALL).unwrap());
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "context {index}");
        }
    }

    #[test]
    fn what_is_ignored_or_not_selected_does_not_count() {
        let plain: &Files = &[("src/a", "x", 0o644), ("doc", "1", 0o644)];
        let other: &Files = &[
            ("src/a", "x", 0o644),
            ("doc", "2", 0o600),
            ("new", "", 0o644),
        ];
        assert_eq!(
            key(plain, "", "COPY src /d/"),
            key(other, "", "COPY src /d/")
        );
        assert_ne!(key(plain, "", ALL), key(other, "", ALL));
        assert_eq!(key(plain, "doc\nnew\n", ALL), key(other, "doc\nnew\n", ALL));
        assert_ne!(key(plain, "", ALL), key(plain, "doc\n", ALL));
        assert_eq!(
            key(plain, "doc\n", ALL),
            key(plain, "# another way to say it\n/d*\n", ALL)
        );
    }

    #[test]
    fn what_is_taken_out_or_brought_along_counts() {
        let files: &Files = &[("src/a", "x", 0o644), ("src/b", "y", 0o644)];
        let of = |line: &str| key(files, "", line);
        assert_ne!(of("COPY src /d/"), of("COPY --exclude=b src /d/"));
        assert_eq!(of("COPY src/a /d/"), of("COPY src/[a] /d/"));
        assert_ne!(of("COPY src/a /d/"), of("COPY --parents src/a /d/"));
        assert_ne!(of("COPY src/a src/b /d/"), of("COPY src/b src/a /d/"));
        assert_eq!(of("COPY missing /d/"), None);
    }
}
