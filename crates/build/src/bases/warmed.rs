//! Base layers that were fetched ahead, into an OCI layout beside the build.

use std::io;
use std::path::Path;

use yadokari_image::Descriptor;
use yadokari_store::{Blob, Layout, Spool, StoreError};

use crate::blocking::blocking;
use crate::events::Event;
use crate::transfers::short;
use crate::work::Work;

/// Takes a layer from the layout, if that has it whole. What is wrong with the layout is told, and the layer comes from its registry.
pub(crate) async fn take(work: &Work, layer: &Descriptor) -> Option<Blob> {
    let directory = work.request.warmed.clone()?;
    // A RUN may move the directory away, so the bytes are copied to where none can.
    let stay = work.stay().await;
    let (wanted, spool, place) = (layer.clone(), work.spool.clone(), directory.clone());
    let taken = blocking(move || copy(&place, &wanted, &spool)).await;
    drop(stay);
    match taken {
        Ok(found) => {
            if found.is_some() {
                let text = format!("{} comes from {}", short(layer.digest), directory.display());
                work.tell(Event::Notice(&text));
            }
            found
        }
        Err(error) => {
            let text = format!("{} cannot be used: {error}", directory.display());
            work.notice(&text);
            None
        }
    }
}

fn copy(directory: &Path, layer: &Descriptor, spool: &Spool) -> Result<Option<Blob>, StoreError> {
    if let Some(blob) = spool.find(layer)? {
        return Ok(Some(blob));
    }
    let found = Layout::open(directory).and_then(|layout| layout.blob(layer));
    let Ok(blob) = found else {
        return Ok(None);
    };
    let mut file = match blob.open() {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(StoreError::Source {
                digest: layer.digest,
                source,
            });
        }
    };
    spool.copy_in(&mut file, layer).map(Some)
}
