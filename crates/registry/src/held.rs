//! What repositories are known to hold, so that nothing is asked or sent twice.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use yadokari_image::{Digest, Repository};

/// Blobs that were seen, pushed or mounted, and where.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<HashMap<Digest, BTreeSet<Repository>>>);

impl Held {
    pub(crate) fn note(&self, repository: &Repository, digest: Digest) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.entry(digest).or_default().insert(repository.clone());
    }

    pub(crate) fn has(&self, repository: &Repository, digest: Digest) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&digest)
            .is_some_and(|places| places.contains(repository))
    }

    /// The repositories of one registry that hold a blob.
    pub(crate) fn on(&self, registry: &str, digest: Digest) -> Vec<Repository> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let places = held.get(&digest).into_iter().flatten();
        places
            .filter(|place| place.registry() == registry)
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_repositories_of_the_same_registry_are_named() {
        let held = Held::default();
        let place = |text: &str| Repository::parse(text).unwrap();
        let digest = Digest::of(b"a");
        for text in ["r.io/a", "r.io/b", "q.io/a"] {
            held.note(&place(text), digest);
        }
        assert_eq!(held.on("r.io", digest), [place("r.io/a"), place("r.io/b")]);
        assert!(held.has(&place("q.io/a"), digest));
        assert!(!held.has(&place("q.io/b"), digest));
        assert!(held.on("r.io", Digest::of(b"b")).is_empty());
    }
}
