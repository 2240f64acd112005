//! COPY and ADD.

use crate::error::ParseErrorKind;
use crate::flags::FlagKind::{Bool, List, Text};
use crate::flags::KnownFlag;
use crate::heredoc::{self, Heredoc};
use crate::node::{Failure, Node};

/// What is copied, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// Paths, patterns or URLs, unexpanded, in written order.
    pub paths: Vec<String>,
    /// Files whose content stands in the Dockerfile. They are copied after the paths. When two have one name,
    /// both have the last body.
    pub heredocs: Vec<Heredoc>,
    /// The destination, unexpanded.
    pub destination: String,
}

/// COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Sources and destination.
    pub sources: Sources,
    /// `--from`, never expanded; absent also when empty.
    pub from: Option<String>,
    /// `--chown`, unexpanded; absent also when empty.
    pub chown: Option<String>,
    /// `--chmod`, unexpanded; absent also when empty.
    pub chmod: Option<String>,
    /// `--link`.
    pub link: bool,
    /// `--parents`.
    pub parents: bool,
    /// `--exclude`, never expanded.
    pub exclude: Vec<String>,
}

/// ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// Sources and destination.
    pub sources: Sources,
    /// `--chown`, unexpanded; absent also when empty.
    pub chown: Option<String>,
    /// `--chmod`, unexpanded; absent also when empty.
    pub chmod: Option<String>,
    /// `--checksum`, unexpanded; absent also when empty.
    pub checksum: Option<String>,
    /// `--link`.
    pub link: bool,
    /// `--keep-git-dir`; `None` when it is not written.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`; `None` when it is not written.
    pub unpack: Option<bool>,
    /// `--exclude`, never expanded.
    pub exclude: Vec<String>,
}

pub(super) fn copy(node: &Node) -> Result<Copy, Failure> {
    enough_words(node, "COPY")?;
    let flags = node.checked_flags(COPY_FLAGS)?;
    Ok(Copy {
        sources: sources(node, "COPY")?,
        from: flags.non_empty("from"),
        chown: flags.non_empty("chown"),
        chmod: flags.non_empty("chmod"),
        link: flags.bool("link") == Some(true),
        parents: flags.bool("parents") == Some(true),
        exclude: flags.list("exclude"),
    })
}

pub(super) fn add(node: &Node) -> Result<Add, Failure> {
    enough_words(node, "ADD")?;
    let flags = node.checked_flags(ADD_FLAGS)?;
    Ok(Add {
        sources: sources(node, "ADD")?,
        chown: flags.non_empty("chown"),
        chmod: flags.non_empty("chmod"),
        checksum: flags.non_empty("checksum"),
        link: flags.bool("link") == Some(true),
        keep_git_dir: flags.bool("keep-git-dir"),
        unpack: flags.bool("unpack"),
        exclude: flags.list("exclude"),
    })
}

fn enough_words(node: &Node, keyword: &'static str) -> Result<(), Failure> {
    if node.words().len() < 2 {
        Err(ParseErrorKind::NoDestination(keyword).into())
    } else {
        Ok(())
    }
}

fn sources(node: &Node, keyword: &'static str) -> Result<Sources, Failure> {
    let (destination, words) = node
        .words()
        .split_last()
        .ok_or(ParseErrorKind::NoDestination(keyword))?;
    if heredoc::is_mark(destination) {
        return Err(Failure::at(
            ParseErrorKind::HeredocDestination(keyword),
            destination,
        ));
    }
    let mut sources = Sources {
        paths: Vec::new(),
        heredocs: Vec::new(),
        destination: destination.clone(),
    };
    for word in words {
        match heredoc::parse(word) {
            Ok(Some(mark)) => sources.heredocs.push(with_body(mark, &node.heredocs)),
            _ => sources.paths.push(word.clone()),
        }
    }
    Ok(sources)
}

/// Gives a mark the body of the last heredoc of its name. There is none in JSON form, which then is empty.
fn with_body(mark: Heredoc, heredocs: &[Heredoc]) -> Heredoc {
    let body = heredocs.iter().rfind(|heredoc| heredoc.name == mark.name);
    Heredoc {
        raw_body: body
            .map(|heredoc| heredoc.raw_body.clone())
            .unwrap_or_default(),
        ..mark
    }
}

pub(super) const COPY_FLAGS: &[KnownFlag] = &[
    ("chown", Text),
    ("from", Text),
    ("chmod", Text),
    ("link", Bool),
    ("parents", Bool),
    ("exclude", List),
];

pub(super) const ADD_FLAGS: &[KnownFlag] = &[
    ("chown", Text),
    ("chmod", Text),
    ("link", Bool),
    ("keep-git-dir", Bool),
    ("checksum", Text),
    ("unpack", Bool),
    ("exclude", List),
];
