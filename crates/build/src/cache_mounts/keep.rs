//! Saving mounts, and keeping those of this machine within their limit.

use std::sync::Arc;

use tracing::Instrument as _;
use yadokari_cache::mounts::{LockKind, MountError, MountStore, SaveRequest, SavedNow};

use super::{CacheMounts, Use, locked};
use crate::blocking::blocking;
use crate::caching::record::chain;
use crate::time::format;
use crate::trace::work_span;

impl CacheMounts {
    /// Starts to save the mounts among `chosen` that commands may have changed.
    pub(super) fn start_saving(&self, chosen: &dyn Fn(&Use) -> bool) {
        let Some(this) = self.this.upgrade() else {
            return;
        };
        if self.store.is_none() || !self.push {
            return;
        }
        let ready: Vec<Use> = locked(&self.uses)
            .extract_if(|_, used| used.touched && chosen(used))
            .map(|(_, used)| used)
            .collect();
        for used in ready {
            let saver = Arc::clone(&this);
            let span = work_span!("save", "cache mount {}", used.identity.id);
            let saving = async move { saver.save(used).await };
            locked(&self.saves).spawn(saving.instrument(span));
        }
    }

    async fn save(&self, used: Use) {
        let Some(store) = &self.store else { return };
        let id = &used.identity.id;
        match self.try_save(store, &used).await {
            Ok(SavedNow::Saved { saved, sent }) => {
                drop(self.transfer(&format!("pushing cache mount {id}"), sent));
                let now = self.services.clock.now();
                if let Err(error) = used.slot.note(&used.identity, Some(saved.digest), now) {
                    tracing::debug!(%error, "noting which record a cache mount was saved as");
                }
            }
            Ok(SavedNow::TooLarge {
                bytes,
                limit,
                emptied,
            }) => self.notice(&too_large(id, bytes, limit, emptied)),
            Ok(_) => {}
            Err(error) => {
                let cause = chain(&error);
                self.notice(&format!("the cache mount `{id}` was not saved: {cause}"));
            }
        }
    }

    async fn try_save(&self, store: &MountStore, used: &Use) -> Result<SavedNow, MountError> {
        let _stay = self.stay(store).await;
        // Whoever wants the mount whole waits until it is read; who shares it is found out.
        let _lock = used.slot.try_lock(LockKind::Shared)?;
        let found;
        let (base, before) = match &used.base {
            Some(base) => (Some(&base.saved), Some(&base.tree)),
            None => {
                found = store.find(&used.identity).await.unwrap_or_default();
                (found.as_ref(), None)
            }
        };
        let request = SaveRequest {
            identity: &used.identity,
            directory: &used.slot.data(),
            base,
            before,
            created: format(self.services.clock.now()),
            threads: self.services.threads,
        };
        store.save(&request).await
    }

    /// A directory of this machine that outgrew the limit starts again.
    pub(super) async fn empty_what_is_too_large(&self) {
        let Some(limit) = self.local_limit else {
            return;
        };
        let used: Vec<Use> = locked(&self.uses).drain().map(|(_, used)| used).collect();
        for Use {
            identity,
            slot,
            pin,
            ..
        } in used
        {
            // The build itself is the last that should be in the way.
            drop(pin);
            let emptied = blocking(move || match slot.bytes()? {
                bytes if bytes > limit => Ok(slot.remove()?.then_some(bytes)),
                _ => Ok::<_, MountError>(None),
            });
            match emptied.await {
                Ok(Some(bytes)) => {
                    self.notice(&too_large(&identity.id, bytes, limit, true));
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "measuring a cache mount"),
            }
        }
    }
}

fn too_large(id: &str, bytes: u64, limit: u64, emptied: bool) -> String {
    let what = match emptied {
        true => "it was emptied, and the next build fills it with what it needs",
        false => "it was not saved",
    };
    format!(
        "the cache mount `{id}` holds {} MB, more than the {} MB of --cache-mount-limit: {what}",
        bytes.div_ceil(MEGABYTE),
        limit / MEGABYTE
    )
}

const MEGABYTE: u64 = 1 << 20;
