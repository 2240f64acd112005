//! What a swap is about to do, on disk before it is done.
//!
//! The journal protects against killed processes, whose writes the kernel keeps; a
//! machine that lost its power has lost the container too. So nothing is synced.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{At as _, Fault, RunError};
use crate::rootswap::attributes::Attributes;
use crate::rootswap::lent::Lent;
use crate::rootswap::plan::Kept;
use crate::spec::os_path;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Record {
    /// A swap begins; nothing has moved.
    Begin {
        #[serde(with = "os_path")]
        live: PathBuf,
        #[serde(with = "os_path")]
        stage: PathBuf,
        kept: Kept,
        /// The helper's process id and its start in clock ticks; processes of the command are younger.
        helper: (i32, u64),
    },
    /// A path refused to be moved and stays.
    Stay {
        #[serde(with = "os_path")]
        path: PathBuf,
    },
    /// A directory of the container is entered; these attributes are its own.
    Descend {
        #[serde(with = "os_path")]
        path: PathBuf,
        attributes: Attributes,
    },
    /// A directory that was entered is gone; the one that holds its entries aside comes back in its place.
    Vacate {
        #[serde(with = "os_path")]
        path: PathBuf,
    },
    /// A real directory of the stage takes the place of a link to it, which cannot take its own.
    Invert {
        #[serde(with = "os_path")]
        path: PathBuf,
        #[serde(with = "os_path")]
        target: PathBuf,
    },
    /// All of the container's entries are aside; the stage's move in from here on.
    In,
    /// A directory that is entered wears the stage's attributes now.
    Dressed {
        #[serde(with = "os_path")]
        path: PathBuf,
    },
    /// A mount point is made.
    Stub {
        #[serde(with = "os_path")]
        path: PathBuf,
    },
    /// A source takes the place of a path.
    Graft {
        #[serde(with = "os_path")]
        path: PathBuf,
        #[serde(with = "os_path")]
        source: PathBuf,
        inode: (u64, u64),
    },
    /// A file is copied to a path of another filesystem.
    Copy {
        #[serde(with = "os_path")]
        path: PathBuf,
    },
    /// A file that stays may get other content for the run; this is its own.
    Lend {
        #[serde(with = "os_path")]
        path: PathBuf,
        file: Lent,
    },
}

/// The open journal of a swap.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    records: Vec<Record>,
    back: bool,
    /// Lines that may still be written, for tests that cut a swap off.
    #[cfg(test)]
    allowed: Option<usize>,
}

impl Journal {
    /// Starts a journal. One that exists belongs to another swap.
    pub(crate) fn begin(path: &Path, first: Record) -> Result<Self, RunError> {
        if back_path(path).exists() {
            return Err(RunError::SwapInProgress {
                journal: back_path(path),
            });
        }
        let file = match File::create_new(path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(RunError::SwapInProgress {
                    journal: path.to_owned(),
                });
            }
            result => result.at("make the journal", path)?,
        };
        let mut journal = Self {
            path: path.to_owned(),
            file,
            records: Vec::new(),
            back: false,
            #[cfg(test)]
            allowed: None,
        };
        if let Err(fault) = journal.write(first) {
            // Nothing was begun; an empty journal would stand in the way of the next swap.
            let _ = fs::remove_file(path);
            return Err(fault.into());
        }
        Ok(journal)
    }

    /// What a swap has written so far, which may still go on; none means there is no swap.
    pub(crate) fn peek(path: &Path) -> Result<Option<Vec<Record>>, Fault> {
        Ok(read_either(path)?.map(|(_, text)| parse(&text)))
    }

    /// Opens what a killed swap left; none means there is nothing to undo.
    pub(crate) fn reopen(path: &Path) -> Result<Option<Self>, Fault> {
        let Some((found, text)) = read_either(path)? else {
            return Ok(None);
        };
        let (back, path) = (found != path, &found);
        let records = parse(&text);
        let kept = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |last| last + 1);
        let file = File::options()
            .append(true)
            .open(path)
            .at("open the journal", path)?;
        // Half a line is what was not begun.
        file.set_len(kept as u64).at("shorten the journal", path)?;
        Ok(Some(Self {
            path: path.to_owned(),
            file,
            records,
            back,
            #[cfg(test)]
            allowed: None,
        }))
    }

    /// Writes down what is about to happen.
    pub(crate) fn write(&mut self, record: Record) -> Result<(), Fault> {
        #[cfg(test)]
        self.count_down()?;
        let mut line = serde_json::to_vec(&record)
            .map_err(std::io::Error::from)
            .at("write to", &self.path)?;
        line.push(b'\n');
        self.file.write_all(&line).at("write to", &self.path)?;
        self.records.push(record);
        Ok(())
    }

    /// Makes the line after `lines` more fail, as a full disk would.
    #[cfg(test)]
    pub(crate) fn fail_after(&mut self, lines: usize) {
        self.allowed = Some(lines);
    }

    #[cfg(test)]
    fn count_down(&mut self) -> Result<(), Fault> {
        match self.allowed.as_mut() {
            Some(0) => Err(crate::error::fault("write to", &self.path, libc::ENOSPC)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Notes that the stage is complete and only the container's entries are still to be moved back.
    ///
    /// This is a rename and no line, since a full disk must not stop it.
    pub(crate) fn turn_back(&mut self) -> Result<(), Fault> {
        if !self.back {
            let to = back_path(&self.path);
            fs::rename(&self.path, &to).at("rename the journal", &self.path)?;
            self.path = to;
            self.back = true;
        }
        Ok(())
    }

    /// Whether [`Journal::turn_back`] was called.
    pub(crate) fn is_back(&self) -> bool {
        self.back
    }

    /// All lines, the first first.
    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Everything is as it was.
    pub(crate) fn finish(&self) -> Result<(), Fault> {
        fs::remove_file(&self.path).at("remove the journal", &self.path)
    }
}

/// The journal's name once the stage is complete.
pub(crate) fn back_path(path: &Path) -> PathBuf {
    path.with_extension("back")
}

/// The journal, or the one that it was renamed to for the way back.
fn read_either(path: &Path) -> Result<Option<(PathBuf, Vec<u8>)>, Fault> {
    for path in [path.to_owned(), back_path(path)] {
        match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            result => return Ok(Some((path.clone(), result.at("read the journal", &path)?))),
        }
    }
    Ok(None)
}

fn parse(text: &[u8]) -> Vec<Record> {
    let whole = text
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.ends_with(b"\n"));
    whole
        .map_while(|line| serde_json::from_slice(line).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_line_never_happened_and_a_second_swap_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("journal");
        assert!(Journal::reopen(&path).unwrap().is_none());
        let mut journal = Journal::begin(&path, Record::In).unwrap();
        journal
            .write(Record::Stay {
                path: PathBuf::from("a\nb"),
            })
            .unwrap();
        assert!(matches!(
            Journal::begin(&path, Record::In),
            Err(RunError::SwapInProgress { .. })
        ));
        let mut text = fs::read(&path).unwrap();
        text.extend(b"{\"Stay\":{\"pa");
        fs::write(&path, text).unwrap();
        let mut again = Journal::reopen(&path).unwrap().unwrap();
        assert_eq!(again.records(), journal.records());
        again.write(Record::In).unwrap();
        assert_eq!(parse(&fs::read(&path).unwrap()).len(), 3);
        again.turn_back().unwrap();
        assert!(Journal::reopen(&path).unwrap().unwrap().is_back());
        assert!(matches!(
            Journal::begin(&path, Record::In),
            Err(RunError::SwapInProgress { .. })
        ));
        again.finish().unwrap();
        assert!(Journal::reopen(&path).unwrap().is_none());
    }
}
