//! The rules of COPY on trees alone: what each flag and each kind of source and destination comes to.

mod destinations;
mod entries;
mod sources;

use std::collections::HashMap;

use yadokari_dockerfile::ignore::Patterns;
use yadokari_dockerfile::value::mode::Mode;
use yadokari_tree::{
    Change, Changes, Kind, Metadata, Timestamp, Tree, TreePath, Xattrs, diff, tree,
};

use super::{CopyFailure, Origin, Owner, Placement, Rules, select, select_with_parents};

/// The time of what copies create.
const NOW: Timestamp = Timestamp {
    seconds: 99,
    nanos: 0,
};

/// A COPY of words to a destination.
#[derive(Debug, Clone, Default)]
struct Case {
    source: String,
    below: String,
    owner: Option<Owner>,
    chmod: Option<Mode>,
    exclude: Option<Patterns>,
    parents: bool,
    link: bool,
}

impl Case {
    fn new(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            ..Self::default()
        }
    }

    fn below(mut self, text: &str) -> Self {
        self.below = text.to_owned();
        self
    }

    fn chown(mut self, uid: u32, gid: u32) -> Self {
        self.owner = Some(Owner { uid, gid });
        self
    }

    fn chmod(mut self, text: &str) -> Self {
        self.chmod = Some(Mode::parse(text).unwrap());
        self
    }

    fn exclude(mut self, words: &[&str]) -> Self {
        self.exclude = Some(Patterns::from_words(words).unwrap());
        self
    }

    fn parents(mut self) -> Self {
        self.parents = true;
        self
    }

    fn link(mut self) -> Self {
        self.link = true;
        self
    }

    /// The tree before, the layer, and the tree after.
    fn run(&self, words: &[&str], destination: &str) -> Result<(Tree, Changes, Tree), CopyFailure> {
        let (below, source) = (tree(&self.below), tree(&self.source));
        let start = if self.link {
            Tree::empty()
        } else {
            below.clone()
        };
        let rules = Rules {
            owner: self.owner,
            chmod: self.chmod.as_ref(),
            exclude: self.exclude.as_ref(),
            now: NOW,
            shares: true,
        };
        let mut placement = Placement::new(start.clone(), rules);
        for word in words {
            if self.parents {
                placement.copy_with_parents(
                    &select_with_parents(&source, word)?,
                    None,
                    destination,
                )?;
                continue;
            }
            for selected in select(&source, word)? {
                placement.copy(&selected, None, destination)?;
            }
        }
        let (after, _) = placement.finish();
        let changes = diff(&start, &after);
        if !self.link {
            return Ok((below, changes, after));
        }
        let mut stacked = below.clone();
        changes.apply_to(&mut stacked);
        Ok((below, changes, stacked))
    }

    /// The layer, one line for each entry; or the error.
    fn layer(&self, words: &[&str], destination: &str) -> String {
        match self.run(words, destination) {
            Ok((_, changes, _)) => shown(&changes),
            Err(error) => format!("error: {error}"),
        }
    }
}

impl Case {
    /// The names in the layer.
    fn paths(&self, words: &[&str], destination: &str) -> String {
        let (_, changes, _) = self.run(words, destination).unwrap();
        changes
            .iter()
            .map(|change| change.path().to_string())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// `path mode owner @time kind` of every change.
fn shown(changes: &Changes) -> String {
    let mut names: HashMap<usize, TreePath> = HashMap::new();
    let mut lines = Vec::new();
    for change in changes {
        let Change::Put { path, node } = change else {
            lines.push(format!("{} gone", change.path()));
            continue;
        };
        let linked = (!node.is_directory())
            .then(|| names.get(&node.identity()))
            .flatten();
        let kind = match (linked, node.kind()) {
            (Some(first), _) => format!("=> {first}"),
            (None, Kind::Directory(_)) => "directory".to_owned(),
            (None, Kind::File(content)) => format!("{} bytes", content.size),
            (None, Kind::Symlink(to)) => format!("-> {}", String::from_utf8_lossy(to)),
            (None, Kind::CharDevice { major, minor }) => format!("character {major}:{minor}"),
            (None, Kind::BlockDevice { major, minor }) => format!("block {major}:{minor}"),
            (None, Kind::Fifo) => "fifo".to_owned(),
            (None, Kind::Socket) => "socket".to_owned(),
        };
        names.entry(node.identity()).or_insert_with(|| path.clone());
        let Metadata {
            mode,
            uid,
            gid,
            mtime,
            ..
        } = node.metadata();
        lines.push(format!(
            "{path} {mode:04o} {uid}:{gid} @{} {kind}",
            mtime.seconds
        ));
    }
    lines.join("\n")
}

/// The layer of a plain copy.
fn layer(source: &str, words: &[&str], destination: &str) -> String {
    Case::new(source).layer(words, destination)
}
