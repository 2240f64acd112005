//! Blobs that are read while they come.
//!
//! An [`Arrival`] stands for a blob that is here, or on its way. Its [`Follower`] gives the bytes as they are written, and
//! waits for more; the last read answers only when the blob is whole and is the promised one. Bytes that were read before
//! may turn out to be wrong: whoever follows asks [`Arrival::was_misled`] once the blob is here.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::spool::Blob;

/// A blob that is here or on its way. Clones stand for the same one.
#[derive(Debug, Clone, Default)]
pub struct Arrival {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How often bytes began to come.
    attempt: u32,
    /// Whether bytes of this attempt were read.
    is_read: bool,
    /// Whether bytes of an earlier one were.
    is_misled: bool,
    source: Source,
}

impl State {
    /// Whatever was read so far is no part of what comes now.
    fn attempt(&mut self) {
        self.attempt += 1;
        self.is_misled |= std::mem::take(&mut self.is_read);
    }
}

/// Where the bytes are.
#[derive(Debug, Default)]
enum Source {
    /// Nobody writes them now.
    #[default]
    Awaited,
    /// In a file that grows.
    Growing { file: Arc<File>, written: u64 },
    /// In a file that is complete, which is opened when somebody reads.
    Complete(PathBuf),
    /// They will not come.
    Lost,
}

impl Arrival {
    /// A blob that is here.
    #[must_use]
    pub fn of(blob: &Blob) -> Self {
        let arrival = Self::default();
        arrival.complete(blob);
        arrival
    }

    /// Reads the blob from its start, as far as it is here, and waits for the rest.
    #[must_use]
    pub fn follow(&self) -> Follower {
        Follower {
            shared: Arc::clone(&self.shared),
            open: None,
            offset: 0,
        }
    }

    /// Whether a follower read bytes that were given up later, and came again.
    #[must_use]
    pub fn was_misled(&self) -> bool {
        self.shared.lock().is_misled
    }

    /// Says that the blob is here.
    pub fn complete(&self, blob: &Blob) {
        self.shared.change(|state| {
            if matches!(state.source, Source::Complete(_)) {
                return;
            }
            // Who reads one that grew has its file open, whatever the name is now.
            if !matches!(state.source, Source::Growing { .. }) {
                state.attempt();
            }
            state.source = Source::Complete(blob.path.clone());
        });
    }

    /// Says that the blob will not come, if it is not here. Followers that wait fail.
    pub fn lose(&self) {
        self.shared.change(|state| {
            if !matches!(state.source, Source::Complete(_)) {
                state.source = Source::Lost;
            }
        });
    }

    /// Says that bytes begin to come, into a file that nothing else is written to.
    pub(crate) fn begin(&self, file: File) {
        self.shared.change(|state| {
            state.attempt();
            state.source = Source::Growing {
                file: Arc::new(file),
                written: 0,
            };
        });
    }

    /// Says how much is in the file.
    pub(crate) fn grow(&self, size: u64) {
        self.shared.change(|state| {
            if let Source::Growing { written, .. } = &mut state.source {
                *written = size;
            }
        });
    }

    /// Says that what has come is of no use. Other bytes may follow.
    pub(crate) fn give_up(&self) {
        self.shared.change(|state| {
            if matches!(state.source, Source::Growing { .. }) {
                state.source = Source::Awaited;
            }
        });
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// Reads a blob while it comes; reading blocks where it has to wait.
#[derive(Debug)]
pub struct Follower {
    shared: Arc<Shared>,
    /// The file that is read, and the attempt that it belongs to.
    open: Option<(Arc<File>, u32)>,
    offset: u64,
}

/// What can be read without waiting.
enum Ready {
    /// So many bytes.
    Bytes(u64),
    /// All that there are.
    Rest,
}

impl Follower {
    /// Waits until there is something to read.
    fn wait(&mut self) -> io::Result<Ready> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        loop {
            if let Some((_, attempt)) = self.open
                && (attempt != state.attempt || matches!(state.source, Source::Awaited))
            {
                return Err(io::Error::other("the bytes so far were wrong"));
            }
            match &state.source {
                Source::Growing { file, written } if *written > self.offset => {
                    let (file, ready) = (Arc::clone(file), *written - self.offset);
                    self.open.get_or_insert((file, state.attempt));
                    state.is_read = true;
                    return Ok(Ready::Bytes(ready));
                }
                Source::Awaited | Source::Growing { .. } => {}
                Source::Complete(path) => {
                    if self.open.is_none() {
                        self.open = Some((Arc::new(File::open(path)?), state.attempt));
                        state.is_read = true;
                    }
                    return Ok(Ready::Rest);
                }
                Source::Lost => return Err(io::Error::other("the rest of it does not come")),
            }
            state = shared
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Read for Follower {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = match self.wait()? {
            Ready::Bytes(ready) => usize::try_from(ready).unwrap_or(usize::MAX),
            Ready::Rest => usize::MAX,
        };
        let Some((file, _)) = &self.open else {
            return Ok(0);
        };
        let length = buffer.len().min(most);
        let count = file.read_at(&mut buffer[..length], self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// A file that grows, as a download's does, and its other end.
    fn growing(arrival: &Arrival) -> File {
        let file = tempfile::tempfile().unwrap();
        arrival.begin(file.try_clone().unwrap());
        file
    }

    fn blob(bytes: &[u8]) -> (tempfile::NamedTempFile, Blob) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let blob = Blob {
            digest: yadokari_image::Digest::of(bytes),
            size: bytes.len() as u64,
            path: file.path().to_owned(),
        };
        (file, blob)
    }

    fn text(mut follower: Follower) -> io::Result<String> {
        let mut text = String::new();
        follower.read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn bytes_are_read_as_they_come_and_the_end_when_the_blob_is_whole() {
        let arrival = Arrival::default();
        let follower = arrival.follow();
        let reader = thread::spawn(move || text(follower));
        let mut file = growing(&arrival);
        for piece in ["one ", "two ", "three"] {
            file.write_all(piece.as_bytes()).unwrap();
            arrival.grow(file.metadata().unwrap().len());
            thread::sleep(Duration::from_millis(1));
        }
        assert!(!reader.is_finished());
        let (_keep, whole) = blob(b"one two three");
        arrival.complete(&whole);
        assert_eq!(reader.join().unwrap().unwrap(), "one two three");
        assert!(!arrival.was_misled());
    }

    #[test]
    fn a_blob_that_is_here_is_read_without_waiting() {
        let (_keep, whole) = blob(b"all of it");
        let arrival = Arrival::of(&whole);
        assert_eq!(text(arrival.follow()).unwrap(), "all of it");
        assert!(!arrival.was_misled());
    }

    #[test]
    fn who_read_bytes_that_were_wrong_is_told_and_who_read_none_is_not() {
        let arrival = Arrival::default();
        let mut early = arrival.follow();
        let late = arrival.follow();
        let mut file = growing(&arrival);
        file.write_all(b"wrong").unwrap();
        arrival.grow(5);
        let mut start = [0; 3];
        early.read_exact(&mut start).unwrap();
        arrival.give_up();
        early.read_exact(&mut start).unwrap_err();
        let mut file = growing(&arrival);
        file.write_all(b"right").unwrap();
        arrival.grow(5);
        early.read_exact(&mut start).unwrap_err();
        assert!(arrival.was_misled());
        let (_keep, whole) = blob(b"right");
        arrival.complete(&whole);
        early.read_exact(&mut start).unwrap_err();
        assert_eq!(text(late).unwrap(), "right");
        assert!(arrival.was_misled());
    }

    #[test]
    fn a_blob_that_comes_from_elsewhere_after_a_failure_misleads_too() {
        let arrival = Arrival::default();
        let mut follower = arrival.follow();
        let mut file = growing(&arrival);
        file.write_all(b"wrong").unwrap();
        arrival.grow(5);
        follower.read_exact(&mut [0; 5]).unwrap();
        arrival.give_up();
        let (_keep, whole) = blob(b"right");
        arrival.complete(&whole);
        assert!(arrival.was_misled());
    }

    #[test]
    fn nobody_waits_for_a_blob_that_does_not_come() {
        let arrival = Arrival::default();
        let follower = arrival.follow();
        let reader = thread::spawn(move || text(follower));
        arrival.lose();
        reader.join().unwrap().unwrap_err();
        assert!(!arrival.was_misled());
    }
}
