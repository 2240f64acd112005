//! Changes of a tree as a tar archive.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};
use yadokari_tree::{Change, Changes, ContentDigest, FileContent, Kind, Metadata, Node, TreePath};

use crate::block::{self, BLOCK};
use crate::encode::Header;
use crate::{Contents, WriteError};

/// What may differ between archives of the same changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TarOptions {
    /// Members dated later than this get this date, in seconds since 1970;
    /// earlier ones keep theirs.
    pub latest_mtime: Option<i64>,
}

/// Writes changes as a layer: a whole tar archive, its two final blocks included.
///
/// Members come in the order of the changes. The first changed name of an inode
/// is the file, later ones are hard links to it. Only `security.capability` is
/// kept of the extended attributes, and only whole seconds of times. The root has
/// no member. Nodes learn the digest of their content as it passes by.
///
/// # Errors
///
/// If a file cannot be read or is not what its node says, or `out` fails.
pub fn write_tar(
    changes: &Changes,
    contents: &dyn Contents,
    options: &TarOptions,
    out: &mut dyn Write,
) -> Result<(), WriteError> {
    let mut writer = Writer {
        contents,
        options,
        out,
        linked: changes.linked(),
        names: HashMap::new(),
        buffer: vec![0; BUFFER],
    };
    for change in changes {
        match change {
            Change::Put { path, .. } if path.is_root() => {}
            Change::Put { path, node } => writer.put(&path, &node)?,
            Change::Remove { path } => writer.whiteout(&path)?,
        }
    }
    writer.end()
}

struct Writer<'a> {
    contents: &'a dyn Contents,
    options: &'a TarOptions,
    out: &'a mut dyn Write,
    /// Inodes that have several names.
    linked: HashSet<usize>,
    /// The first name of each of them.
    names: HashMap<usize, TreePath>,
    /// Headers, then content; kept between members.
    buffer: Vec<u8>,
}

impl Writer<'_> {
    fn put(&mut self, path: &TreePath, node: &Node) -> Result<(), WriteError> {
        if let Some(first) = self.first_name(path, node) {
            return self.link(path, node, first.as_bytes());
        }
        match node.kind() {
            Kind::Directory(_) => self.header(path, node, b'5', |_| {}),
            Kind::File(content) => self.file(path, node, content),
            Kind::Symlink(target) => self.header(path, node, b'2', |header| header.link = target),
            Kind::CharDevice { major, minor } => {
                self.header(path, node, b'3', |header| header.device = (*major, *minor))
            }
            Kind::BlockDevice { major, minor } => {
                self.header(path, node, b'4', |header| header.device = (*major, *minor))
            }
            Kind::Fifo => self.header(path, node, b'6', |_| {}),
            Kind::Socket => Err(WriteError::Socket { path: path.clone() }),
        }
    }

    /// The name this inode has in the archive already; remembers it otherwise.
    fn first_name(&mut self, path: &TreePath, node: &Node) -> Option<TreePath> {
        let inode = node.identity();
        if !self.linked.contains(&inode) {
            return None;
        }
        match self.names.entry(inode) {
            Entry::Occupied(first) => Some(first.get().clone()),
            Entry::Vacant(free) => {
                free.insert(path.clone());
                None
            }
        }
    }

    fn link(&mut self, path: &TreePath, node: &Node, first: &[u8]) -> Result<(), WriteError> {
        self.header(path, node, b'1', |header| header.link = first)
    }

    fn header<'h>(
        &mut self,
        path: &TreePath,
        node: &'h Node,
        type_flag: u8,
        fill: impl FnOnce(&mut Header<'h>),
    ) -> Result<(), WriteError> {
        let metadata = node.metadata();
        let mut header = Header::new(
            b"",
            type_flag,
            metadata,
            self.clamped(metadata.mtime.seconds),
        );
        fill(&mut header);
        let mut name = path.as_bytes().to_vec();
        if node.is_directory() {
            name.push(b'/');
        }
        self.write_header(
            path,
            Header {
                name: &name,
                ..header
            },
        )
    }

    fn write_header(&mut self, path: &TreePath, header: Header<'_>) -> Result<(), WriteError> {
        if !header.device_fits() {
            let (major, minor) = header.device;
            return Err(WriteError::DeviceNumber {
                path: path.clone(),
                major,
                minor,
            });
        }
        if header.name.contains(&0) || header.link.contains(&0) {
            return Err(WriteError::NulInPath { path: path.clone() });
        }
        let mut blocks = Vec::with_capacity(BLOCK);
        header.encode(&mut blocks);
        self.write(&blocks)
    }

    fn file(
        &mut self,
        path: &TreePath,
        node: &Node,
        content: &FileContent,
    ) -> Result<(), WriteError> {
        let mut reader = self
            .contents
            .open(path, node)
            .map_err(|source| unreadable(path, source))?;
        self.header(path, node, b'0', |header| header.size = content.size)?;
        let digest = self.copy(path, &mut *reader, content.size)?;
        if !content.set_digest(digest) {
            return Err(WriteError::ContentChanged { path: path.clone() });
        }
        self.write(&[0; BLOCK][..block::padding(content.size)])
    }

    fn copy(
        &mut self,
        path: &TreePath,
        reader: &mut dyn Read,
        size: u64,
    ) -> Result<ContentDigest, WriteError> {
        let mut hasher = Sha256::new();
        let mut copied = 0;
        loop {
            let read = match reader.read(&mut self.buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(unreadable(path, source)),
            };
            if copied + read as u64 > size || (read == 0 && copied < size) {
                let found = (copied + read as u64).min(size + 1);
                return Err(WriteError::SizeChanged {
                    path: path.clone(),
                    expected: size,
                    found,
                });
            }
            if read == 0 {
                return Ok(ContentDigest::from_bytes(hasher.finalize().into()));
            }
            hasher.update(&self.buffer[..read]);
            self.out.write_all(&self.buffer[..read]).map_err(output)?;
            copied += read as u64;
        }
    }

    /// An empty file without rights, dated 1970, whose name says what is gone.
    fn whiteout(&mut self, path: &TreePath) -> Result<(), WriteError> {
        let Some(name) = path.file_name() else {
            return Ok(());
        };
        let directory = &path.as_bytes()[..path.as_bytes().len() - name.len()];
        let whiteout = [directory, crate::WHITEOUT_PREFIX, name].concat();
        let nobody = Metadata::new(0);
        self.write_header(path, Header::new(&whiteout, b'0', &nobody, 0))
    }

    fn end(mut self) -> Result<(), WriteError> {
        self.write(&[0; 2 * BLOCK])
    }

    fn clamped(&self, mtime: i64) -> i64 {
        self.options
            .latest_mtime
            .map_or(mtime, |latest| mtime.min(latest))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.out.write_all(bytes).map_err(output)
    }
}

fn unreadable(path: &TreePath, source: io::Error) -> WriteError {
    WriteError::Content {
        path: path.clone(),
        source,
    }
}

fn output(source: io::Error) -> WriteError {
    WriteError::Output { source }
}

/// Bytes read from a file at once.
const BUFFER: usize = 128 * 1024;
