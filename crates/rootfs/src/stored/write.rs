//! Writing a snapshot: nodes depth-first, each with its stamp.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};

use yadokari_tree::{FileContent, Kind, Metadata, Node};

use super::MAGIC;
use super::code::Encoder;
use crate::snapshot::{Snapshot, Stamp, children};

/// What a record is.
pub(super) mod tag {
    pub(crate) const DIRECTORY: u64 = 0;
    pub(crate) const FILE: u64 = 1;
    pub(crate) const HASHED_FILE: u64 = 2;
    pub(crate) const SYMLINK: u64 = 3;
    pub(crate) const CHAR_DEVICE: u64 = 4;
    pub(crate) const BLOCK_DEVICE: u64 = 5;
    pub(crate) const FIFO: u64 = 6;
    pub(crate) const SOCKET: u64 = 7;
    /// Another name of an inode that came before.
    pub(crate) const LINK: u64 = 8;
}

pub(super) fn write(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = Writer {
        out: Encoder::new(out),
        numbers: HashMap::new(),
    };
    writer.out.raw(MAGIC)?;
    writer.out.signed(snapshot.taken.seconds)?;
    writer.out.number(snapshot.taken.nanos.into())?;
    writer.all(snapshot)?;
    writer.out.finish()
}

struct Writer<'a> {
    out: Encoder<'a>,
    /// Inodes that may have more names, in the order they came.
    numbers: HashMap<usize, u64>,
}

impl Writer<'_> {
    /// A list of what waits stands in for recursion, which a deep tree would exhaust.
    fn all(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let top = snapshot.tree.root();
        self.node(top, snapshot.top)?;
        let mut waiting = vec![children(top, Some(&snapshot.stamps)).collect::<VecDeque<_>>()];
        while let Some(rest) = waiting.last_mut() {
            let Some((name, next)) = rest.pop_front() else {
                waiting.pop();
                continue;
            };
            self.out.bytes(name)?;
            self.node(next.node, next.stamp.unwrap_or(Stamp::NONE))?;
            if next.node.is_directory() {
                let stamps = next.stamps.map(|stamps| &**stamps);
                waiting.push(children(next.node, stamps).collect());
            }
        }
        Ok(())
    }

    fn node(&mut self, node: &Node, stamp: Stamp) -> io::Result<()> {
        if node.is_shared() && !node.is_directory() {
            let number = self.numbers.len() as u64;
            if let Some(first) = self.numbers.get(&node.identity()) {
                let first = *first;
                self.out.number(tag::LINK)?;
                self.out.number(first)?;
                return self.stamp(stamp);
            }
            self.numbers.insert(node.identity(), number);
        }
        self.kind(node)?;
        self.out.number(node.is_shared().into())?;
        self.metadata(node.metadata())?;
        self.stamp(stamp)
    }

    fn kind(&mut self, node: &Node) -> io::Result<()> {
        match node.kind() {
            Kind::Directory(children) => self.pair(tag::DIRECTORY, children.len() as u64),
            Kind::File(content) => self.file(content),
            Kind::Symlink(target) => {
                self.out.number(tag::SYMLINK)?;
                self.out.bytes(target)
            }
            Kind::CharDevice { major, minor } => self.device(tag::CHAR_DEVICE, *major, *minor),
            Kind::BlockDevice { major, minor } => self.device(tag::BLOCK_DEVICE, *major, *minor),
            Kind::Fifo => self.out.number(tag::FIFO),
            Kind::Socket => self.out.number(tag::SOCKET),
        }
    }

    fn file(&mut self, content: &FileContent) -> io::Result<()> {
        match content.digest() {
            Some(digest) => {
                self.pair(tag::HASHED_FILE, content.size)?;
                self.out.raw(digest.as_bytes())
            }
            None => self.pair(tag::FILE, content.size),
        }
    }

    fn device(&mut self, tag: u64, major: u32, minor: u32) -> io::Result<()> {
        self.pair(tag, major.into())?;
        self.out.number(minor.into())
    }

    fn pair(&mut self, tag: u64, number: u64) -> io::Result<()> {
        self.out.number(tag)?;
        self.out.number(number)
    }

    fn metadata(&mut self, metadata: &Metadata) -> io::Result<()> {
        let Metadata {
            mode,
            uid,
            gid,
            mtime,
            xattrs,
        } = metadata;
        self.out.number((*mode).into())?;
        self.out.number((*uid).into())?;
        self.out.number((*gid).into())?;
        self.out.signed(mtime.seconds)?;
        self.out.number(mtime.nanos.into())?;
        self.out.number(xattrs.iter().count() as u64)?;
        for (name, value) in xattrs.iter() {
            self.out.bytes(name)?;
            self.out.bytes(value)?;
        }
        Ok(())
    }

    fn stamp(&mut self, stamp: Stamp) -> io::Result<()> {
        let (seconds, nanos) = stamp.changed();
        self.out.number(stamp.inode)?;
        self.out.signed(seconds)?;
        self.out.number(nanos.into())?;
        self.out.number(stamp.links.into())
    }
}
