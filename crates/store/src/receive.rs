//! Downloads into the spool, each blob once.

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task;
use yadokari_image::{Descriptor, Digest};

use crate::arrival::Arrival;
use crate::error::StoreError;
use crate::spool::{Blob, COPY_BUFFER, Spool};
use crate::writer::BlobWriter;

/// Who is downloading what right now, in this process.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    under_way: Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
}

impl Flights {
    fn of(&self, digest: Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut flights = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        flights.retain(|_, flight| flight.strong_count() > 0);
        if let Some(flight) = flights.get(&digest).and_then(Weak::upgrade) {
            return flight;
        }
        let flight = Arc::default();
        flights.insert(digest, Arc::downgrade(&flight));
        flight
    }
}

/// A failed [`Spool::receive_with`]: the source could not be opened, or the blob not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError<E: Debug + std::error::Error + 'static> {
    /// The source could not be opened.
    #[error(transparent)]
    Open(E),
    /// The bytes could not be read, were not the promised ones, or not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Spool {
    /// Stores the bytes of `reader` if they are the promised ones.
    ///
    /// A blob that is already there is returned without reading. A call for a blob that
    /// another call is receiving waits for it first. Dropping the future leaves nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::DigestMismatch`], [`StoreError::SizeMismatch`] or
    /// [`StoreError::Source`] for what the reader does; [`StoreError::DiskFull`].
    pub async fn receive<R>(&self, reader: R, descriptor: &Descriptor) -> Result<Blob, StoreError>
    where
        R: AsyncRead + Unpin,
    {
        let open = async || Ok::<_, std::convert::Infallible>(reader);
        match self.receive_with(descriptor, open).await {
            Ok(blob) => Ok(blob),
            Err(ReceiveError::Store(error)) => Err(error),
            Err(ReceiveError::Open(never)) => match never {},
        }
    }

    /// As [`Spool::receive`], with a source that is only opened when it is needed.
    ///
    /// However many tasks ask for a blob at the same time, one opens its source and the
    /// others wait. If that one fails, the next of them tries.
    ///
    /// # Errors
    ///
    /// [`ReceiveError::Open`] with the error of `open`, else as [`Spool::receive`].
    pub async fn receive_with<R, E, F, Fut>(
        &self,
        descriptor: &Descriptor,
        open: F,
    ) -> Result<Blob, ReceiveError<E>>
    where
        R: AsyncRead + Unpin,
        E: Debug + std::error::Error + 'static,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<R, E>>,
    {
        self.receive_while_read(descriptor, &Arrival::default(), open)
            .await
    }

    /// As [`Spool::receive_with`], for a blob that is read while it comes: `arrival` gets its bytes as they are written.
    ///
    /// After a failure nothing more is read from it until another call brings it the blob, or it is
    /// [lost](Arrival::lose).
    ///
    /// # Errors
    ///
    /// As [`Spool::receive_with`].
    pub async fn receive_while_read<R, E, F, Fut>(
        &self,
        descriptor: &Descriptor,
        arrival: &Arrival,
        open: F,
    ) -> Result<Blob, ReceiveError<E>>
    where
        R: AsyncRead + Unpin,
        E: Debug + std::error::Error + 'static,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<R, E>>,
    {
        let flight = self.flights().of(descriptor.digest);
        let _turn = match self.find(descriptor)? {
            Some(_) => None,
            None => Some(flight.lock().await),
        };
        let blob = match self.find(descriptor)? {
            Some(blob) => blob,
            None => {
                let reader = open().await.map_err(ReceiveError::Open)?;
                self.store(reader, descriptor, arrival).await?
            }
        };
        arrival.complete(&blob);
        Ok(blob)
    }

    async fn store<R>(
        &self,
        mut reader: R,
        descriptor: &Descriptor,
        arrival: &Arrival,
    ) -> Result<Blob, StoreError>
    where
        R: AsyncRead + Unpin,
    {
        let mut writer = self.writer()?;
        let attempt = Attempt::begin(arrival, &writer)?;
        let mut buffer = Vec::with_capacity(COPY_BUFFER);
        while fill(&mut reader, &mut buffer, descriptor).await? {
            (writer, buffer) = append(writer, buffer, descriptor.clone()).await?;
            arrival.grow(writer.size());
        }
        let blob = writer.finish_expecting(descriptor.digest, descriptor.size)?;
        attempt.succeed(&blob);
        Ok(blob)
    }
}

/// One try to bring a blob to those that read it: given up, unless it succeeds.
struct Attempt<'a> {
    arrival: &'a Arrival,
}

impl<'a> Attempt<'a> {
    fn begin(arrival: &'a Arrival, writer: &BlobWriter) -> Result<Self, StoreError> {
        arrival.begin(writer.reopen()?);
        Ok(Self { arrival })
    }

    fn succeed(self, blob: &Blob) {
        self.arrival.complete(blob);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.arrival.give_up();
    }
}

/// Fills the buffer; `false` when the source has ended and nothing came.
async fn fill<R: AsyncRead + Unpin>(
    reader: &mut R,
    buffer: &mut Vec<u8>,
    descriptor: &Descriptor,
) -> Result<bool, StoreError> {
    buffer.clear();
    let mut bounded = reader.take(COPY_BUFFER as u64);
    while buffer.len() < COPY_BUFFER {
        let count = bounded
            .read_buf(buffer)
            .await
            .map_err(|source| StoreError::Source {
                digest: descriptor.digest,
                source,
            })?;
        if count == 0 {
            break;
        }
    }
    Ok(!buffer.is_empty())
}

/// Hashes and writes off the async threads, and hands both things back.
async fn append(
    mut writer: BlobWriter,
    buffer: Vec<u8>,
    descriptor: Descriptor,
) -> Result<(BlobWriter, Vec<u8>), StoreError> {
    let digest = descriptor.digest;
    let work = task::spawn_blocking(move || {
        writer.append_expecting(&buffer, &descriptor)?;
        Ok((writer, buffer))
    });
    work.await.unwrap_or_else(|stopped| {
        Err(StoreError::Source {
            digest,
            source: io::Error::other(stopped),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::testing::descriptor;

    #[tokio::test]
    async fn one_of_many_askers_downloads() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path()).unwrap();
        let wanted = descriptor(b"layer");
        let opened = Arc::new(AtomicUsize::new(0));
        let ask = || {
            let (spool, wanted, opened) = (spool.clone(), wanted.clone(), opened.clone());
            tokio::spawn(async move {
                let open = || async {
                    opened.fetch_add(1, Ordering::SeqCst);
                    task::yield_now().await;
                    Ok::<_, io::Error>(b"layer".as_slice())
                };
                spool.receive_with(&wanted, open).await
            })
        };
        let askers: Vec<_> = (0..8).map(|_| ask()).collect();
        for asker in askers {
            assert_eq!(asker.await.unwrap().unwrap().size, 5);
        }
        assert_eq!(opened.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn after_a_failed_download_the_next_asker_tries() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path()).unwrap();
        let wanted = descriptor(b"layer");
        let refused = spool
            .receive_with(&wanted, || async {
                Err::<&[u8], _>(io::Error::other("refused"))
            })
            .await;
        assert!(matches!(refused, Err(ReceiveError::Open(_))));
        let wrong = spool
            .receive(b"lawyer".as_slice(), &wanted)
            .await
            .unwrap_err();
        assert!(matches!(wrong, StoreError::SizeMismatch { .. }), "{wrong}");
        spool.receive(b"layer".as_slice(), &wanted).await.unwrap();
    }

    #[tokio::test]
    async fn a_reader_gets_each_piece_before_the_next_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path()).unwrap();
        let (first, second) = (vec![1_u8; COPY_BUFFER], vec![2_u8; 10]);
        let wanted = descriptor(&[first.as_slice(), second.as_slice()].concat());
        let arrival = Arrival::default();
        let mut follower = arrival.follow();
        let (mut sender, source) = tokio::io::duplex(COPY_BUFFER);
        let send = async {
            sender.write_all(&first).await.unwrap();
            let length = first.len();
            let start = task::spawn_blocking(move || {
                let mut start = vec![0; length];
                follower.read_exact(&mut start).map(|()| (start, follower))
            });
            let (start, follower) = start.await.unwrap().unwrap();
            assert_eq!(start, first);
            sender.write_all(&second).await.unwrap();
            drop(sender);
            follower
        };
        let open = || async { Ok::<_, io::Error>(source) };
        let receive = spool.receive_while_read(&wanted, &arrival, open);
        let (mut follower, blob) = tokio::join!(send, receive);
        let mut rest = Vec::new();
        follower.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, second);
        assert_eq!(blob.unwrap().size, wanted.size);
        assert!(!arrival.was_misled());
    }

    #[tokio::test]
    async fn a_reader_of_a_failed_download_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path()).unwrap();
        let wanted = descriptor(b"layer");
        let arrival = Arrival::default();
        let mut follower = arrival.follow();
        let (mut sender, source) = tokio::io::duplex(64);
        let read = async {
            sender.write_all(b"lawye").await.unwrap();
            drop(sender);
            task::spawn_blocking(move || {
                let mut bytes = Vec::new();
                follower.read_to_end(&mut bytes).map(|_| bytes)
            })
            .await
            .unwrap()
        };
        let open = || async { Ok::<_, io::Error>(source) };
        let receive = spool.receive_while_read(&wanted, &arrival, open);
        let (read, received) = tokio::join!(read, receive);
        read.unwrap_err();
        received.unwrap_err();
        let again = || async { Ok::<_, io::Error>(b"layer".as_slice()) };
        let received = spool.receive_while_read(&wanted, &arrival, again).await;
        received.unwrap();
        assert!(arrival.was_misled());
    }

    #[tokio::test]
    async fn a_blob_of_many_buffers_arrives_whole() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path()).unwrap();
        let bytes: Vec<u8> = (0..COPY_BUFFER * 3 + 17).map(|i| (i % 251) as u8).collect();
        let blob = spool
            .receive(bytes.as_slice(), &descriptor(&bytes))
            .await
            .unwrap();
        assert_eq!(blob.read().unwrap(), bytes);
    }
}
