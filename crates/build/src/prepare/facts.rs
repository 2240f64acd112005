//! What a step reads of build contexts, in a form that a later build can compare its own with.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use yadokari_cache::{Fact, FileFact};
use yadokari_context::ContentHasher;
use yadokari_image::Digest;
use yadokari_plan::Operation;
use yadokari_tree::{Node, Tree, TreePath};

use super::read_keys::{FileKeys, parts};

impl FileKeys<'_> {
    /// What a step fetches from elsewhere.
    pub(crate) fn remote_facts(&self, operation: &Operation) -> Vec<Fact> {
        match operation {
            Operation::Copy(copy) => self.remotes.facts(copy),
            _ => Vec::new(),
        }
    }

    /// The files of build contexts that a step reads, each with a digest; where there are many, by directory.
    pub(crate) fn facts(&self, operation: &Operation) -> Vec<FileFact> {
        let mut facts = Facts::default();
        match operation {
            Operation::Copy(copy) => {
                if let Some(files) = self.files(&copy.from) {
                    let parts = copy
                        .sources
                        .iter()
                        .flat_map(|word| parts(files.tree(), copy, word));
                    parts
                        .flatten()
                        .for_each(|part| part.list(files.tree(), &mut facts));
                }
            }
            Operation::Run(run) => {
                for mount in &run.mounts {
                    let files = mount.from.as_ref().and_then(|from| self.files(from));
                    let path = TreePath::parse(mount.mount.source.as_deref().unwrap_or("/"));
                    if let Some(files) = files {
                        facts.list(files.tree(), &path, &path);
                    }
                }
            }
            Operation::Metadata | Operation::Workdir(_) => {}
        }
        facts.finish()
    }
}

/// How many files are listed before directories stand for them.
const MOST_FILES: usize = 2000;

/// What was listed so far: a million files are never held one by one.
pub(super) enum Facts {
    /// Files, each with its digest.
    Few(BTreeMap<String, String>),
    /// Directories at the top, each with all that was listed below it.
    Many(BTreeMap<String, Sha256>),
}

impl Default for Facts {
    fn default() -> Self {
        Self::Few(BTreeMap::new())
    }
}

impl Facts {
    /// Lists what is at and below a path of a tree, under the name it has in its context.
    pub(super) fn list(&mut self, tree: &Tree, path: &TreePath, name: &TreePath) {
        let mut add = |name: &TreePath, node: &Node| {
            if !node.is_directory() {
                self.add(name.to_string(), entry_digest(node));
            }
        };
        if let Some(node) = tree.get(path) {
            add(name, node);
        }
        if let Some(below) = tree.subtree(path) {
            for (inner, node) in below.walk() {
                add(&name.join(inner.as_bytes()), node);
            }
        }
    }

    fn add(&mut self, path: String, digest: String) {
        match self {
            Self::Few(files) => {
                files.insert(path, digest);
                if files.len() > MOST_FILES {
                    *self = Self::by_directory(std::mem::take(files));
                }
            }
            Self::Many(directories) => {
                let top = path.trim_start_matches('/').split('/').next();
                let all = directories.entry(format!("/{}", top.unwrap_or_default()));
                let line = format!("{path:?} {digest}\n");
                all.or_default().update(line);
            }
        }
    }

    fn by_directory(files: BTreeMap<String, String>) -> Self {
        let mut many = Self::Many(BTreeMap::new());
        for (path, digest) in files {
            many.add(path, digest);
        }
        many
    }

    fn finish(self) -> Vec<FileFact> {
        let fact = |(path, digest)| FileFact { path, digest };
        match self {
            Self::Few(files) => files.into_iter().map(fact).collect(),
            Self::Many(directories) => {
                let digests = directories
                    .into_iter()
                    .map(|(path, all)| (path, short(&Digest::from_sha256(all.finalize().into()))));
                digests.take(MOST_FILES).map(fact).collect()
            }
        }
    }
}

fn entry_digest(node: &Node) -> String {
    let mut hasher = ContentHasher::new();
    match hasher.entry(b"", node) {
        Ok(()) => short(&hasher.finish()),
        Err(_) => String::new(),
    }
}

/// Enough to tell whether something changed.
fn short(digest: &Digest) -> String {
    digest.hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(count: usize) -> Vec<String> {
        let mut facts = Facts::default();
        for number in 0..count {
            facts.add(format!("/{}/{number}", number % 3), number.to_string());
        }
        facts.finish().into_iter().map(|fact| fact.path).collect()
    }

    #[test]
    fn many_files_are_told_by_directory() {
        assert_eq!(paths(10).len(), 10);
        assert_eq!(paths(MOST_FILES).len(), MOST_FILES);
        assert_eq!(paths(MOST_FILES + 1), ["/0", "/1", "/2"]);
        assert_eq!(paths(2 * MOST_FILES), ["/0", "/1", "/2"]);
    }

    #[test]
    fn one_of_many_files_changes_its_directory_alone() {
        let told = |changed: usize| {
            let mut facts = Facts::default();
            for number in 0..2 * MOST_FILES {
                let digest = if number == changed { "new" } else { "old" };
                facts.add(format!("/{}/{number}", number % 3), digest.to_owned());
            }
            facts.finish()
        };
        for changed in [0, 2 * MOST_FILES - 2] {
            let (before, after) = (told(usize::MAX), told(changed));
            let differ = before.iter().zip(&after).filter(|(one, two)| one != two);
            let differ: Vec<_> = differ.map(|(one, _)| one.path.clone()).collect();
            assert_eq!(differ, [format!("/{}", changed % 3)]);
        }
    }
}
