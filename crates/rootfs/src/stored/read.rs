//! Reading a snapshot back.

use std::io::{self, Read};
use std::sync::Arc;

use yadokari_tree::{
    ContentDigest, FileContent, Kind, Metadata, Name, Node, Timestamp, Tree, Xattrs,
};

use super::MAGIC;
use super::code::{Decoder, invalid};
use super::write::tag;
use crate::snapshot::{Snapshot, Stamp, Stamps};

pub(super) fn read(input: &mut dyn Read) -> io::Result<Snapshot> {
    let mut reader = Reader {
        input: Decoder::new(input),
        shared: Vec::new(),
    };
    if reader.input.raw()? != *<&[u8; MAGIC.len()]>::try_from(MAGIC).expect("of this length") {
        return Err(invalid("another format"));
    }
    let taken = reader.time()?;
    let (top, node, stamps) = reader.all()?;
    reader.input.finish()?;
    let tree = Tree::from_root(node).ok_or_else(|| invalid("the root is no directory"))?;
    Ok(Snapshot {
        tree,
        top,
        stamps,
        taken,
    })
}

struct Reader<'a> {
    input: Decoder<'a>,
    /// Inodes that may get more names.
    shared: Vec<Node>,
}

/// A directory some of whose entries are still to come.
struct Open {
    name: Option<Name>,
    metadata: Metadata,
    stamp: Stamp,
    missing: u64,
    children: Vec<(Name, Node)>,
    entries: Vec<Stamp>,
    directories: Vec<Arc<Stamps>>,
}

enum Record {
    Leaf(Node, Stamp),
    Directory(Metadata, Stamp, u64),
}

impl Open {
    fn new(name: Option<Name>, metadata: Metadata, stamp: Stamp, missing: u64) -> Self {
        Self {
            name,
            metadata,
            stamp,
            missing,
            children: Vec::new(),
            entries: Vec::new(),
            directories: Vec::new(),
        }
    }

    fn add(&mut self, name: Name, node: Node, stamp: Stamp) {
        self.children.push((name, node));
        self.entries.push(stamp);
    }

    fn close(self) -> (Option<Name>, Node, Stamp, Arc<Stamps>) {
        let stamps = Stamps {
            entries: self.entries.into(),
            directories: self.directories.into(),
        };
        let node = Node::directory(self.metadata, self.children.into_iter().collect());
        (self.name, node, self.stamp, Arc::new(stamps))
    }
}

impl Reader<'_> {
    fn all(&mut self) -> io::Result<(Stamp, Node, Arc<Stamps>)> {
        let Record::Directory(metadata, stamp, count) = self.record()? else {
            return Err(invalid("the root is no directory"));
        };
        let mut open = vec![Open::new(None, metadata, stamp, count)];
        while let Some(directory) = open.last_mut() {
            if directory.missing > 0 {
                directory.missing -= 1;
                let name = self.name()?;
                match self.record()? {
                    Record::Leaf(node, stamp) => directory.add(name, node, stamp),
                    Record::Directory(metadata, stamp, count) => {
                        open.push(Open::new(Some(name), metadata, stamp, count));
                    }
                }
                continue;
            }
            let closed = open.pop().map(Open::close);
            let (name, node, stamp, stamps) = closed.expect("it was the last one");
            let (Some(above), Some(name)) = (open.last_mut(), name) else {
                return Ok((stamp, node, stamps));
            };
            above.add(name, node, stamp);
            above.directories.push(stamps);
        }
        Err(invalid("there is no root"))
    }

    fn name(&mut self) -> io::Result<Name> {
        Name::new(self.input.bytes()?).map_err(|_| invalid("a name is none"))
    }

    fn record(&mut self) -> io::Result<Record> {
        let tag = self.input.number()?;
        let kind = match tag {
            tag::DIRECTORY => {
                let count = self.input.number()?;
                self.input.number()?;
                return Ok(Record::Directory(self.metadata()?, self.stamp()?, count));
            }
            tag::LINK => {
                let number: usize = self.input.small()?;
                let node = self.shared.get(number).cloned();
                let node = node.ok_or_else(|| invalid("a link leads nowhere"))?;
                return Ok(Record::Leaf(node, self.stamp()?));
            }
            tag => self.kind(tag)?,
        };
        let shared = self.input.number()? != 0;
        let node = Node::new(self.metadata()?, kind);
        if shared {
            self.shared.push(node.clone());
        }
        Ok(Record::Leaf(node, self.stamp()?))
    }

    fn kind(&mut self, tag: u64) -> io::Result<Kind> {
        Ok(match tag {
            tag::FILE => Kind::File(FileContent::new(self.input.number()?)),
            tag::HASHED_FILE => {
                let size = self.input.number()?;
                let digest = ContentDigest::from_bytes(self.input.raw()?);
                Kind::File(FileContent::with_digest(size, digest))
            }
            tag::SYMLINK => Kind::Symlink(self.input.bytes()?.into()),
            tag::CHAR_DEVICE => Kind::CharDevice {
                major: self.input.small()?,
                minor: self.input.small()?,
            },
            tag::BLOCK_DEVICE => Kind::BlockDevice {
                major: self.input.small()?,
                minor: self.input.small()?,
            },
            tag::FIFO => Kind::Fifo,
            tag::SOCKET => Kind::Socket,
            _ => return Err(invalid("an entry of no known kind")),
        })
    }

    fn metadata(&mut self) -> io::Result<Metadata> {
        let mode = self.input.small()?;
        let (uid, gid) = (self.input.small()?, self.input.small()?);
        let mtime = self.time()?;
        let mut xattrs = Xattrs::EMPTY;
        for _ in 0..self.input.number()? {
            xattrs.insert(self.input.bytes()?, self.input.bytes()?);
        }
        Ok(Metadata {
            mode,
            uid,
            gid,
            mtime,
            xattrs,
        })
    }

    fn time(&mut self) -> io::Result<Timestamp> {
        Ok(Timestamp::new(self.input.signed()?, self.input.small()?))
    }

    fn stamp(&mut self) -> io::Result<Stamp> {
        let inode = self.input.number()?;
        let changed = self.time()?;
        Ok(Stamp::known(inode, changed, self.input.small()?))
    }
}
