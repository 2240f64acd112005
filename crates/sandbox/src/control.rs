//! The conversation between the caller and its helper process.
//!
//! One Unix socket, which the helper finds as its standard input: the caller sends
//! one [`Request`], the helper answers with one [`Reply`]. Each is a length and
//! that many bytes of JSON. The socket is also the leash: when the caller closes
//! its writing side, on purpose or by dying, the helper stops the command.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::container::ContainerHints;
use crate::error::RunError;
use crate::probe::ProbeAnswer;
use crate::runner::{Confinement, Exit};
use crate::spec::{Isolation, OverlayMarks, RunSpec, os_path, os_paths};

/// What the helper is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) task: Task,
    #[serde(with = "os_path")]
    pub(crate) state_dir: PathBuf,
    pub(crate) hints: ContainerHints,
    /// Directories that the caller has open.
    #[serde(with = "os_paths")]
    pub(crate) held: Vec<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    Run {
        isolation: Isolation,
        confinement: Confinement,
        spec: Box<RunSpec>,
    },
    Probe {
        isolation: Isolation,
    },
    TryOverlay,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Exited(Exit),
    Failed(RunError),
    Probed(ProbeAnswer),
    Overlay(OverlayMarks),
}

/// Longest message taken: specs hold an environment and mounts, never file contents of any size.
const LONGEST: u64 = 64 << 20;

/// Writes one message.
pub(crate) fn send<T: Serialize>(stream: &mut impl Write, message: &T) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    stream.write_all(&(text.len() as u64).to_le_bytes())?;
    stream.write_all(&text)?;
    stream.flush()
}

/// Reads one message.
pub(crate) fn receive<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST {
        return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
    }
    let mut text = Vec::new();
    stream.take(length).read_to_end(&mut text)?;
    serde_json::from_slice(&text).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_and_a_cut_or_huge_one_is_an_error() {
        let mut bytes = Vec::new();
        send(&mut bytes, &Reply::Failed(RunError::Cancelled)).unwrap();
        let back: Reply = receive(&mut bytes.as_slice()).unwrap();
        assert!(matches!(back, Reply::Failed(RunError::Cancelled)));
        for cut in 0..bytes.len() {
            assert!(
                receive::<Reply>(&mut &bytes[..cut]).is_err(),
                "cut at {cut}"
            );
        }
        let huge = u64::MAX.to_le_bytes();
        assert!(receive::<Reply>(&mut huge.as_slice()).is_err());
    }
}
