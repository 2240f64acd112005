//! A forked child that prepares itself and becomes the command, and reports how that went.

use std::convert::Infallible;
use std::fs::File;
use std::io::{Read as _, Write as _};

use rustix::pipe::PipeFlags;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::error::{At as _, RunError};
use crate::kernel::{self, Fork};
use crate::runner::Note;

/// A child that became the command.
pub(crate) struct Started {
    pub(crate) pid: Pid,
    pub(crate) notes: Vec<Note>,
}

/// What a child says before it becomes the command.
#[derive(Debug, Serialize, Deserialize)]
enum Word {
    Note(Note),
    Failed(RunError),
}

/// Collects what a child has to say; closed by `exec`.
pub(crate) struct Report {
    pipe: File,
}

impl Report {
    pub(crate) fn note(&mut self, note: Note) {
        self.say(&Word::Note(note));
    }

    fn say(&mut self, word: &Word) {
        // The reader can only be gone when the helper was killed, and then nobody listens.
        if let Ok(mut text) = serde_json::to_vec(word) {
            text.push(b'\n');
            let _ = self.pipe.write_all(&text);
        }
    }
}

/// Forks; the child runs `become_command`, which ends in `exec` or gives an error.
///
/// Returns when the child has become the command. A child that failed is reaped.
pub(crate) fn start(
    become_command: impl FnOnce(&mut Report) -> Result<Infallible, RunError>,
) -> Result<Started, RunError> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).at("make", "pipe")?;
    match kernel::fork()? {
        Fork::Child => {
            drop(reader);
            let mut report = Report {
                pipe: File::from(writer),
            };
            let Err(error) = become_command(&mut report);
            report.say(&Word::Failed(error));
            kernel::exit_now(1)
        }
        Fork::Parent(pid) => {
            drop(writer);
            listen(pid, File::from(reader))
        }
    }
}

fn listen(pid: Pid, mut reader: File) -> Result<Started, RunError> {
    let mut text = Vec::new();
    reader.read_to_end(&mut text).at("read from", "pipe")?;
    let mut notes = Vec::new();
    for line in text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        match serde_json::from_slice(line) {
            Ok(Word::Note(note)) => notes.push(note),
            Ok(Word::Failed(error)) => {
                reap(pid);
                return Err(error);
            }
            Err(error) => {
                reap(pid);
                return Err(RunError::HelperDied {
                    status: error.to_string(),
                });
            }
        }
    }
    Ok(Started { pid, notes })
}

/// Waits for a child that ends by itself.
fn reap(pid: Pid) {
    while let Err(rustix::io::Errno::INTR) =
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())
    {}
}
