//! Layers as entries of a tree.

use std::io::{self, Read};

use yadokari_image::DiffId;
use yadokari_tree::{Entry, EntryKind, TreePath};

use crate::decompress::Decoder;
use crate::fields::Member;
use crate::members::Members;
use crate::stream::Stream;
use crate::{Limits, OPAQUE_WHITEOUT, ReadError, WHITEOUT_PREFIX};

/// Reads a layer archive, compressed or not, entry by entry.
///
/// The archive is hostile until proven otherwise. Names are cleaned lexically and
/// `..` stops at the root, so no entry leaves it; what its symlinks mean is for
/// the tree to resolve. The content of an entry is exactly as long as it says.
/// Bookkeeping of aufs (`.wh..wh.*`) is passed over, as are the device numbers
/// and contents of entries that have none.
///
/// ```
/// use yadokari_layer::{LayerReader, Limits};
///
/// let empty = std::io::Cursor::new(vec![0; 1024]);
/// let mut layer = LayerReader::new(empty, Limits::default())?;
/// while let Some((entry, content)) = layer.next_entry()? {
///     println!("{} {}", entry.path(), std::io::copy(content, &mut std::io::sink())?);
/// }
/// let diff_id = layer.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LayerReader<'a> {
    members: Members<'a>,
    limits: Limits,
    whiteouts: Whiteouts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whiteouts {
    Meant,
    PlainFiles,
}

impl LayerReader<'static> {
    /// Reads a layer while a thread of its own unpacks ahead. A reader that is
    /// dropped early leaves the thread to end with its current read.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn new(archive: impl Read + Send + 'static, limits: Limits) -> Result<Self, ReadError> {
        let stream =
            Stream::threaded(archive, limits.unpacked_bytes).map_err(ReadError::from_io)?;
        Ok(Self::of(stream, limits))
    }
}

impl<'a> LayerReader<'a> {
    /// Reads a layer on the caller's thread.
    ///
    /// # Errors
    ///
    /// If the first bytes cannot be read.
    pub fn inline(archive: impl Read + 'a, limits: Limits) -> Result<Self, ReadError> {
        let decoder = Decoder::open(archive).map_err(ReadError::from_io)?;
        Ok(Self::of(
            Stream::inline(Box::new(decoder), limits.unpacked_bytes),
            limits,
        ))
    }

    fn of(stream: Stream<'a>, limits: Limits) -> Self {
        Self {
            members: Members::new(stream, limits),
            limits,
            whiteouts: Whiteouts::Meant,
        }
    }

    /// Yields members named like whiteouts as the files they are, as when an
    /// archive is no layer.
    #[must_use]
    pub fn with_whiteouts_as_files(mut self) -> Self {
        self.whiteouts = Whiteouts::PlainFiles;
        self
    }

    /// The next entry with a reader of its content, which is empty for all but
    /// regular files. What is not read is passed over.
    ///
    /// # Errors
    ///
    /// If the archive is damaged, beyond a limit, or holds what no layer can.
    pub fn next_entry(&mut self) -> Result<Option<(Entry, &mut dyn Read)>, ReadError> {
        loop {
            let Some(member) = self.members.next_member()? else {
                return Ok(None);
            };
            if let Some(entry) = self.entry(member)? {
                return Ok(Some((entry, &mut self.members)));
            }
        }
    }

    /// Reads everything that is left, to the end of the bytes and not only of
    /// the archive, and gives the digest of all that was unpacked.
    ///
    /// # Errors
    ///
    /// If the bytes cannot be read to their end.
    pub fn finish(self) -> Result<DiffId, ReadError> {
        self.members.into_stream().finish()
    }

    /// `None` for members that mean nothing.
    fn entry(&self, member: Member) -> Result<Option<Entry>, ReadError> {
        self.check_name(&member.name)?;
        self.check_name(&member.link)?;
        let path = TreePath::parse(&member.name);
        if self.whiteouts == Whiteouts::Meant
            && let Some(whiteout) = whiteout(&path, &member.name)
        {
            return whiteout;
        }
        let kind = kind(&path, &member)?;
        Ok(Some(Entry::Put {
            path,
            metadata: member.metadata,
            kind,
        }))
    }

    fn check_name(&self, name: &[u8]) -> Result<(), ReadError> {
        let limit = self.limits.name_length;
        if name.len() > limit {
            return Err(ReadError::NameTooLong { limit });
        }
        if name.contains(&0) {
            Err(ReadError::NulInName {
                name: name.to_vec(),
            })
        } else {
            Ok(())
        }
    }
}

fn kind(path: &TreePath, member: &Member) -> Result<EntryKind, ReadError> {
    let (major, minor) = member.device;
    if matches!(member.type_flag, b'1' | b'2') && member.link.is_empty() {
        return Err(ReadError::EmptyLink { path: path.clone() });
    }
    match member.type_flag {
        b'0' => Ok(EntryKind::File { size: member.size }),
        b'1' => Ok(EntryKind::HardLink(TreePath::parse(&member.link))),
        b'2' => Ok(EntryKind::Symlink(member.link.clone().into())),
        b'3' => Ok(EntryKind::CharDevice { major, minor }),
        b'4' => Ok(EntryKind::BlockDevice { major, minor }),
        b'5' => Ok(EntryKind::Directory),
        b'6' => Ok(EntryKind::Fifo),
        type_flag => Err(ReadError::UnknownType {
            path: path.clone(),
            type_flag,
        }),
    }
}

/// What a member means by being named like a whiteout; `None` inside if that is
/// nothing, `None` outside if it is not named so.
fn whiteout(path: &TreePath, written: &[u8]) -> Option<Result<Option<Entry>, ReadError>> {
    let name = path.file_name()?;
    let directory = || path.parent().unwrap_or_default();
    if name == OPAQUE_WHITEOUT {
        return Some(Ok(Some(Entry::Opaque {
            directory: directory(),
        })));
    }
    if path
        .components()
        .any(|component| component.starts_with(AUFS_PREFIX))
    {
        return Some(Ok(None));
    }
    match name.strip_prefix(WHITEOUT_PREFIX)? {
        b"" | b"." | b".." => Some(Err(ReadError::BadWhiteout {
            name: written.to_vec(),
        })),
        removed => Some(Ok(Some(Entry::Whiteout {
            path: directory().join(removed),
        }))),
    }
}

/// Names that aufs kept for itself.
const AUFS_PREFIX: &[u8] = b".wh..wh.";

impl Read for LayerReader<'_> {
    /// Reads on in the content of the entry that [`next_entry`](Self::next_entry) gave last.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.members.read(buffer)
    }
}
