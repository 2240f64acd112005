//! Trees of base images, which stages with the same base need not each read for themselves.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use yadokari_plan::Key;
use yadokari_tree::Tree;

use crate::caching::listing;
use crate::error::BuildError;
use crate::stage::layers::Layer;

/// Trees by the layers that they are of. They share what they hold with the trees of stages.
#[derive(Debug, Default)]
pub(crate) struct Trees {
    known: Mutex<HashMap<Key, Tree>>,
}

impl Trees {
    /// The tree of these layers, if a stage of this build has come to know it.
    pub(crate) async fn find(&self, layers: &[Layer]) -> Result<Option<Tree>, BuildError> {
        let key = listing::key(layers).await?;
        Ok(self.lock().get(&key).cloned())
    }

    /// Remembers the tree of these layers.
    pub(crate) async fn note(&self, layers: &[Layer], tree: &Tree) -> Result<(), BuildError> {
        if !layers.is_empty() {
            let key = listing::key(layers).await?;
            self.lock().insert(key, tree.clone());
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Tree>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
