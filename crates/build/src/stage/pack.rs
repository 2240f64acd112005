//! Layers from changes, compressed while later steps run.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write as _};
use std::sync::Arc;

use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument as _;
use yadokari_image::{Descriptor, media_type};
use yadokari_layer::{Compression, Contents, PackOptions, Packed, compress, pack, write_tar};
use yadokari_store::{Blob, Spool};
use yadokari_tree::Changes;

use crate::blocking::blocking;
use crate::error::{BuildError, BuildErrorKind};
use crate::outputs::assemble::ImageLayer;
use crate::stage::layers::{FinishedLayer, Layer, Place};
use crate::trace::{inside, work_span};
use crate::work::Work;

/// Whether the files a layer is made from may change while it is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sources {
    /// A later RUN works on the same files: they are put into an archive before this returns.
    Moving,
    /// Nothing changes them any more.
    Settled,
    /// They lie where a RUN may move them away: none begins before the layer is made.
    Movable,
}

/// What is said of a layer besides its content.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    /// When it was made, RFC 3339.
    pub(crate) created: String,
    /// What its history says if no row does.
    pub(crate) description: String,
    /// The epoch its times were cut to, where the manifest has to say so.
    pub(crate) rewritten: Option<i64>,
}

/// The annotation of a layer whose times were cut: the epoch, in seconds since 1970.
const REWRITTEN: &str = "buildkit/rewritten-timestamp";

/// Starts making a layer; its digests come later.
pub(crate) async fn start(
    work: &Work,
    changes: Arc<Changes>,
    contents: Arc<dyn Contents + Send + Sync>,
    sources: Sources,
    label: Label,
) -> Result<Layer, BuildError> {
    let (spool, options) = (work.spool.clone(), work.pack_options());
    let task = match sources {
        Sources::Moving => {
            let span = work_span!("archive", "{} entries", changes.len());
            let archive = blocking(move || write_archive(&spool, &changes, &*contents, options));
            let archive = archive.instrument(span).await?;
            let spool = work.spool.clone();
            beside(work, move || compress_archive(&spool, &archive, options))
        }
        Sources::Settled => beside(work, move || {
            pack_directly(&spool, &changes, &*contents, options)
        }),
        Sources::Movable => {
            let stay = work.stay().await;
            beside(work, move || {
                let packed = pack_directly(&spool, &changes, &*contents, options);
                drop(stay);
                packed
            })
        }
    };
    let compression = options.compression;
    Ok(Layer::from_future(async move {
        let (packed, blob) = match task.await.flatten() {
            Ok(done) => done?,
            Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            Err(_) => return Err(BuildErrorKind::Cancelled.into()),
        };
        Ok(Arc::new(finished(&packed, blob, compression, label)))
    }))
}

/// Compresses a layer on a thread of its own, when it is its turn.
fn beside<T: Send + 'static>(
    work: &Work,
    pack: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<Result<T, JoinError>> {
    let (turns, build) = (work.turns.clone(), work.span.clone());
    tokio::spawn(async move {
        let _turn = turns.pack().await;
        let span = tracing::info_span!(target: "yadokari::work", parent: &build, "compress");
        tokio::task::spawn_blocking(inside(span, pack)).await
    })
}

/// A layer with the build's compression: the same archive, encoded anew if it has another.
pub(crate) async fn recompressed(
    work: &Work,
    layer: &Arc<FinishedLayer>,
) -> Result<Arc<FinishedLayer>, BuildError> {
    let wanted = media_type_of(work.request.format.compression);
    let known = media_type::in_family(&layer.listed.descriptor.media_type, media_type::Family::Oci);
    if known == wanted {
        return Ok(Arc::clone(layer));
    }
    let blob = work
        .blob(&Layer::existing(layer.listed.clone(), layer.place.clone()))
        .await?;
    let (spool, options) = (work.spool.clone(), work.pack_options());
    let (packed, blob) = blocking(move || recompress(&spool, &blob, options)).await?;
    let descriptor = Descriptor::new(wanted, packed.digest, packed.size);
    let listed = ImageLayer {
        descriptor,
        diff_id: packed.diff_id,
        ..layer.listed.clone()
    };
    Ok(Arc::new(FinishedLayer {
        listed,
        place: Place::Spool(blob),
    }))
}

fn recompress(
    spool: &Spool,
    blob: &Blob,
    options: PackOptions,
) -> Result<(Packed, Blob), BuildError> {
    let file = blob
        .open()
        .map_err(|source| BuildError::disk(&blob.path, source))?;
    let mut archive = yadokari_layer::decompressed(file)
        .map_err(|source| BuildError::disk(&blob.path, source))?;
    let mut writer = spool.plain_writer()?;
    let packed = compress(
        &mut archive,
        options.compression,
        options.threads,
        &mut writer,
    )?;
    Ok((packed, writer.finish_as(packed.digest, packed.size)?))
}

fn write_archive(
    spool: &Spool,
    changes: &Changes,
    contents: &dyn Contents,
    options: PackOptions,
) -> Result<yadokari_store::ScratchFile, BuildError> {
    let mut archive = spool.scratch()?;
    let path = archive.path().to_owned();
    let failed = |source| BuildError::disk(&path, source);
    let mut out = BufWriter::with_capacity(ARCHIVE_BUFFER, &mut archive);
    write_tar(changes, contents, &options.tar, &mut out)?;
    out.flush().map_err(failed)?;
    drop(out);
    Ok(archive)
}

/// Most members are small, and each is written in three pieces.
const ARCHIVE_BUFFER: usize = 256 * 1024;

fn compress_archive(
    spool: &Spool,
    archive: &yadokari_store::ScratchFile,
    options: PackOptions,
) -> Result<(Packed, Blob), BuildError> {
    let mut input = archive.reopen()?;
    let mut writer = spool.plain_writer()?;
    let packed = compress(
        &mut input,
        options.compression,
        options.threads,
        &mut writer,
    )?;
    Ok((packed, writer.finish_as(packed.digest, packed.size)?))
}

fn pack_directly(
    spool: &Spool,
    changes: &Changes,
    contents: &dyn Contents,
    options: PackOptions,
) -> Result<(Packed, Blob), BuildError> {
    let mut writer = spool.plain_writer()?;
    let packed = pack(changes, contents, &options, &mut writer)?;
    Ok((packed, writer.finish_as(packed.digest, packed.size)?))
}

fn finished(packed: &Packed, blob: Blob, compression: Compression, label: Label) -> FinishedLayer {
    let annotations = label
        .rewritten
        .map(|epoch| BTreeMap::from([(REWRITTEN.to_owned(), epoch.to_string())]));
    let descriptor = Descriptor::new(media_type_of(compression), packed.digest, packed.size);
    let listed = ImageLayer {
        descriptor: Descriptor {
            annotations,
            ..descriptor
        },
        diff_id: packed.diff_id,
        created: Some(label.created),
        description: label.description,
    };
    FinishedLayer {
        listed,
        place: Place::Spool(blob),
    }
}

/// The OCI media type of a layer; the manifest turns it into the family it has.
fn media_type_of(compression: Compression) -> &'static str {
    match compression {
        Compression::None => media_type::OCI_LAYER,
        Compression::Gzip { .. } => media_type::OCI_LAYER_GZIP,
        Compression::Zstd { .. } => media_type::OCI_LAYER_ZSTD,
    }
}
