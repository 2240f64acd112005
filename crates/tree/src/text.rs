//! Trees written down as text.

use std::str::FromStr;

use crate::escape::unescape;
use crate::{ContentDigest, FileContent, Kind, Metadata, Node, Timestamp, Tree, TreePath, Xattrs};

/// A line that describes no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} describes no file: `{text}`")]
pub struct TextError {
    /// Number of the line, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

/// Makes a tree from text, for tests and examples. One line per name:
///
/// ```
/// let tree = yadokari_tree::tree(r"
///     /etc/ 0755
///     /etc/motd 0644 1000:1000 @1500000000 +user.note=6869 hello world
///     /bin -> usr/bin
///     /etc/issue => /etc/motd
///     /dev/null 0666 <char 1:3>
///     /run/pipe 0600 <fifo>
///     /big 0644 <file 1048576>
/// ");
/// assert_eq!(tree.to_string().parse(), Ok(tree));
/// ```
///
/// A trailing slash makes a directory, `->` a symlink, `=>` a hard link to an
/// earlier line. After mode, owner, time and extended attributes comes the
/// content: text, or `<char M:m>`, `<block M:m>`, `<fifo>`, `<socket>`,
/// `<file SIZE [SHA256]>`. Other bytes in names are `\xNN`. Blank lines and
/// indentation do not count. Missing parents are `0755`.
///
/// # Panics
///
/// If a line cannot be read; use [`str::parse`] to get that as an error.
pub fn tree(text: &str) -> Tree {
    match text.parse() {
        Ok(tree) => tree,
        Err(error) => panic!("{error}"),
    }
}

impl FromStr for Tree {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let mut tree = Self::empty();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() {
                let error = || TextError {
                    line: at + 1,
                    text: line.to_owned(),
                };
                add(&mut tree, line).ok_or_else(error)?;
            }
        }
        Ok(tree)
    }
}

fn add(tree: &mut Tree, line: &str) -> Option<()> {
    let (path_text, rest) = line.split_once(' ')?;
    let path = TreePath::parse(unescape(path_text.strip_prefix('/')?)?);
    if let Some(target) = rest.strip_prefix("=> ") {
        let node = tree
            .get(&TreePath::parse(unescape(target)?))
            .filter(|node| !node.is_directory())?
            .clone();
        return tree.insert(&path, node).ok().map(drop);
    }
    let (metadata, rest) = metadata(rest)?;
    if path_text.ends_with('/') {
        return rest
            .is_empty()
            .then(|| add_directory(tree, &path, metadata))?;
    }
    tree.insert(&path, Node::new(metadata, kind(rest)?))
        .ok()
        .map(drop)
}

fn add_directory(tree: &mut Tree, path: &TreePath, metadata: Metadata) -> Option<()> {
    let children = tree.get(path).map(|node| node.children().cloned());
    let children = children.unwrap_or(Some(Default::default()))?;
    tree.insert(path, Node::directory(metadata, children))
        .ok()
        .map(drop)
}

fn metadata(text: &str) -> Option<(Metadata, &str)> {
    let mut metadata = Metadata::new(0o777);
    let mut rest = text;
    if !is_link(rest) {
        let (mode, after) = word(rest);
        metadata.mode = u16::from_str_radix(mode, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777)?;
        rest = after;
    }
    if let Some((uid, gid)) = owner(word(rest).0) {
        (metadata.uid, metadata.gid, rest) = (uid, gid, word(rest).1);
    }
    if let Some(time) = word(rest).0.strip_prefix('@') {
        (metadata.mtime, rest) = (timestamp(time)?, word(rest).1);
    }
    while let Some(attribute) = word(rest).0.strip_prefix('+') {
        add_xattr(&mut metadata.xattrs, attribute)?;
        rest = word(rest).1;
    }
    Some((metadata, rest))
}

/// Symlinks are mostly written without a mode, but may have an owner.
fn is_link(text: &str) -> bool {
    text.starts_with(['-', '@', '+']) || owner(word(text).0).is_some()
}

fn word(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

fn owner(word: &str) -> Option<(u32, u32)> {
    let (uid, gid) = word.split_once(':')?;
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

fn timestamp(text: &str) -> Option<Timestamp> {
    let (seconds, nanos) = text.split_once('.').unwrap_or((text, "000000000"));
    let nanos = if nanos.len() == 9 {
        nanos.parse().ok()?
    } else {
        return None;
    };
    Some(Timestamp::new(seconds.parse().ok()?, nanos))
}

fn add_xattr(xattrs: &mut Xattrs, text: &str) -> Option<()> {
    let (name, hex) = text.split_once('=')?;
    let digits = (0..hex.len()).step_by(2);
    let value: Option<Vec<u8>> = digits
        .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
        .collect();
    xattrs.insert(unescape(name)?, value?);
    Some(())
}

fn kind(text: &str) -> Option<Kind> {
    if let Some(target) = text.strip_prefix("-> ") {
        return Some(Kind::Symlink(unescape(target)?.into()));
    }
    let Some(special) = text
        .strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'))
    else {
        return Some(Kind::File(FileContent::of(text)));
    };
    match word(special) {
        ("fifo", "") => Some(Kind::Fifo),
        ("socket", "") => Some(Kind::Socket),
        ("char", numbers) => owner(numbers).map(|(major, minor)| Kind::CharDevice { major, minor }),
        ("block", numbers) => {
            owner(numbers).map(|(major, minor)| Kind::BlockDevice { major, minor })
        }
        ("file", content) => file_content(content).map(Kind::File),
        _ => None,
    }
}

fn file_content(text: &str) -> Option<FileContent> {
    let (size, digest) = word(text);
    let size = size.parse().ok()?;
    match digest {
        "" => Some(FileContent::new(size)),
        hex => Some(FileContent::with_digest(
            size,
            ContentDigest::from_hex(hex)?,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_comes_back() {
        let text = r"/ 0700 1:2 @-5.000000001
/a\x20b/ 1777
/a\x20b/f 4644 5:6 @7 +user.x=00ff +user.y= <file 3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad>
/c 0666 <char 1:3>
/d 0660 <block 7:99>
/g => /a\x20b/f
/l -> ../\xff
/m 0700 1:1 -> x
/p 0600 <fifo>
/s 0755 <socket>
/u 0644 <file 9>
";
        assert_eq!(tree(text).to_string(), text);
        assert_eq!(
            tree("/f 0644 abc").to_string(),
            format!("/f 0644 <file 3 {}>\n", ContentDigest::of("abc"))
        );
    }

    #[test]
    fn lines_that_say_nothing_are_refused() {
        for bad in [
            "etc 0755",
            "/f",
            "/f 0999 x",
            "/f 77777 x",
            "/f rw x",
            "/g => /missing",
            "/d/ 0755 x",
            "/f 0644 <what>",
            "/c 0600 <char 1>",
            "/f 0644 <file x>",
            "/f 0644 <file 1 abc>",
            "/f 0644 @1.5 x",
            r"/\x4 0644 x",
            "/f 0644 +user.x x",
            "/f 0644 +user.x=0g x",
            "/d/ 0755\n/h => /d",
            "/f 0644 x\n/f/ 0755",
            "/f 0644 x\n/f/g 0644 x",
        ] {
            let error = bad.parse::<Tree>().unwrap_err();
            assert_eq!(error.line, bad.lines().count(), "{bad}");
        }
    }
}
