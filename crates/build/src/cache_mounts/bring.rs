//! Bringing back what is saved of a mount.

use tracing::Instrument as _;
use yadokari_cache::mounts::{LocalSlot, MountError, MountIdentity, MountStore};

use super::{Base, CacheMounts};
use crate::caching::record::chain;
use crate::trace::work_span;

impl CacheMounts {
    /// Restores a mount; says what cannot be restored.
    pub(super) async fn bring_back(
        &self,
        store: &MountStore,
        identity: &MountIdentity,
        slot: &LocalSlot,
    ) -> Option<Base> {
        let id = &identity.id;
        let brought = self
            .try_bring_back(store, identity, slot)
            .instrument(work_span!("restore", "cache mount {id}"))
            .await;
        match brought {
            Ok(base) => base,
            Err(error) => {
                let state = match slot.data().is_dir() {
                    true => "is used as it is on this machine",
                    false => "starts empty",
                };
                let cause = chain(&error);
                self.notice(&format!(
                    "the cache mount `{id}` could not be restored and {state}: {cause}"
                ));
                None
            }
        }
    }

    async fn try_bring_back(
        &self,
        store: &MountStore,
        identity: &MountIdentity,
        slot: &LocalSlot,
    ) -> Result<Option<Base>, MountError> {
        let _stay = self.stay(store).await;
        let Some(saved) = store.find(identity).await? else {
            return Ok(None);
        };
        if slot.data().is_dir() && slot.base() == Some(saved.digest) {
            let tree = store.listing(&saved).await?;
            return Ok(Some(Base { saved, tree }));
        }
        let label = format!("pulling cache mount {}", identity.id);
        let _told = self.transfer(&label, saved.stored());
        let draft = slot.draft()?;
        let files = draft.path().join("files");
        let threads = self.services.threads;
        let tree = store.restore(&saved, &files, threads).await?.tree;
        slot.install(&files)?;
        slot.note(identity, Some(saved.digest), self.services.clock.now())?;
        Ok(Some(Base { saved, tree }))
    }
}
