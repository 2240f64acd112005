//! A tree as text, one line per name.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};

use crate::{Escaped, FileContent, Kind, Metadata, Node, Timestamp, Tree, TreePath};

/// One line per name in path order, in the form [`tree`](crate::tree()) reads:
/// path, mode, `uid:gid` unless `0:0`, `@mtime` unless 0, `+name=hex` per
/// extended attribute, then what it is. The root only if it is not `0755`.
impl Display for Tree {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if *self.root().metadata() != Metadata::implied_directory() {
            write_line(f, &TreePath::root(), self.root())?;
        }
        let mut names = HashMap::new();
        for (path, node) in self.walk() {
            match names.get(&node.identity()) {
                Some(first) if !node.is_directory() => writeln!(f, "{path} => {first}")?,
                _ => write_line(f, &path, node)?,
            }
            if !node.is_directory() && node.is_shared() {
                names.entry(node.identity()).or_insert(path);
            }
        }
        Ok(())
    }
}

fn write_line(f: &mut Formatter<'_>, path: &TreePath, node: &Node) -> fmt::Result {
    write!(f, "{path}")?;
    if node.is_directory() && !path.is_root() {
        write!(f, "/")?;
    }
    let metadata = node.metadata();
    if !(node.is_symlink() && metadata.mode == 0o777) {
        write!(f, " {:04o}", metadata.mode)?;
    }
    write_metadata(f, metadata)?;
    write_kind(f, node.kind())?;
    writeln!(f)
}

fn write_metadata(f: &mut Formatter<'_>, metadata: &Metadata) -> fmt::Result {
    if (metadata.uid, metadata.gid) != (0, 0) {
        write!(f, " {}:{}", metadata.uid, metadata.gid)?;
    }
    if metadata.mtime != Timestamp::EPOCH {
        write!(f, " @{}", metadata.mtime)?;
    }
    for (name, value) in metadata.xattrs.iter() {
        write!(f, " +{}=", Escaped(name))?;
        value.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
    }
    Ok(())
}

fn write_kind(f: &mut Formatter<'_>, kind: &Kind) -> fmt::Result {
    match kind {
        Kind::Directory(_) => Ok(()),
        Kind::File(content) => write_content(f, content),
        Kind::Symlink(target) => write!(f, " -> {}", Escaped(target)),
        Kind::CharDevice { major, minor } => write!(f, " <char {major}:{minor}>"),
        Kind::BlockDevice { major, minor } => write!(f, " <block {major}:{minor}>"),
        Kind::Fifo => write!(f, " <fifo>"),
        Kind::Socket => write!(f, " <socket>"),
    }
}

fn write_content(f: &mut Formatter<'_>, content: &FileContent) -> fmt::Result {
    match content.digest() {
        Some(digest) => write!(f, " <file {} {digest}>", content.size),
        None => write!(f, " <file {}>", content.size),
    }
}
