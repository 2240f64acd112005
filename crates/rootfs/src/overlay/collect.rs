//! From an upper directory to the tree that the mount showed.

use std::collections::BTreeSet;

use yadokari_tree::{Metadata, Name, Node, Tree, TreePath};

use super::marks::{Marked, Role};
use super::survey::Survey;
use super::{OverlayMarks, read_error};
use crate::attributes;
use crate::compare::{Candidate, read, read_with};
use crate::directory::Dir;
use crate::error::{At, ScanError};
use crate::found::{Found, same_metadata};
use crate::listing::{Listing, ListingBuffer};
use crate::root::Root;
use crate::selection::{Exclude, Selection};
use crate::snapshot::Stamp;

pub(super) fn collect(
    upper: &Root,
    root: &Root,
    before: &Tree,
    marks: OverlayMarks,
    exclude: &BTreeSet<TreePath>,
) -> Result<(Tree, Survey), ScanError> {
    upper.forget();
    root.forget();
    let mut collection = Collection {
        upper,
        root,
        marks,
        selection: Selection::AllBut(exclude),
        edits: Vec::new(),
        linked: Vec::new(),
        waiting: vec![Directory {
            path: TreePath::root(),
            before: Some(before.root().clone()),
            opaque: false,
        }],
        buffer: ListingBuffer::new(),
        survey: Survey::default(),
    };
    while let Some(directory) = collection.waiting.pop() {
        collection.directory(&directory)?;
    }
    collection.settle()?;
    Ok((edited(before, collection.edits), collection.survey))
}

struct Collection<'a> {
    upper: &'a Root,
    root: &'a Root,
    marks: OverlayMarks,
    selection: Selection<'a>,
    /// Directories before what is in them.
    edits: Vec<(TreePath, Edit)>,
    linked: Vec<Linked>,
    waiting: Vec<Directory>,
    buffer: ListingBuffer,
    survey: Survey,
}

/// What becomes of one path of the tree.
enum Edit {
    Put(Node),
    Describe(Metadata),
    Remove,
}

/// A directory that was met and not looked into.
struct Directory {
    path: TreePath,
    /// What the directory was, if it was one.
    before: Option<Node>,
    /// Whether nothing of the root shows, as anywhere below an opaque directory.
    opaque: bool,
}

/// A name in the directory that is looked into.
struct Met<'a> {
    dir: &'a Dir,
    name: Name,
    path: TreePath,
    found: Found,
    known: Option<&'a Node>,
    /// The names of its extended attributes.
    names: Vec<Vec<u8>>,
}

/// A name of an inode that has others; it waits until all are met.
struct Linked {
    path: TreePath,
    found: Found,
    known: Option<(Node, Option<Stamp>)>,
}

impl Collection<'_> {
    fn directory(&mut self, directory: &Directory) -> Result<(), ScanError> {
        let path = &directory.path;
        let dir = self.upper.dir(path).at("open", path)?;
        let listable = dir.listable().at("open", path)?;
        let listing = Listing::read(&listable, &mut self.buffer).at("list", path)?;
        let chosen = self.selection.within(|| path.clone());
        let known = directory.before.as_ref().and_then(Node::children);
        for (bytes, _) in listing.iter() {
            let name = valid(path, bytes)?;
            let found = dir.stat(&name).map_err(read_error(&path.join(&name)))?;
            let found = Found::of(&found);
            if chosen.decide(&name, found.is_directory()) == Exclude::Keep {
                let known = known.and_then(|known| known.get(&name));
                let path = path.join(&name);
                let names = attributes::names(&dir, &name).map_err(read_error(&path))?;
                let met = Met {
                    dir: &dir,
                    path,
                    name,
                    found,
                    known,
                    names,
                };
                self.name(met, directory.opaque)?;
            } else {
                self.survey.unseen(path.join(&name));
            }
        }
        for (name, node) in known.into_iter().flatten().filter(|_| directory.opaque) {
            let kept = chosen.decide(name, node.is_directory()) != Exclude::Keep;
            if !kept && !listing.contains(name) {
                self.edits.push((path.join(name), Edit::Remove));
            }
        }
        Ok(())
    }

    fn name(&mut self, met: Met<'_>, opaque: bool) -> Result<(), ScanError> {
        let marked = self.marked(&met)?;
        let role = marked.role;
        self.survey.found(&met.path, marked);
        match role {
            Role::Whiteout => {
                self.edits
                    .extend(met.known.map(|_| (met.path, Edit::Remove)));
                Ok(())
            }
            _ if met.found.is_directory() => self.subdirectory(met, opaque || role == Role::Opaque),
            _ => self.leaf(met),
        }
    }

    fn marked(&self, met: &Met<'_>) -> Result<Marked, ScanError> {
        if met.found.is_whiteout() {
            return Ok(Marked::WHITEOUT);
        }
        let Met {
            dir,
            name,
            path,
            found,
            names,
            ..
        } = met;
        self.marks.find(dir, name, names, found, path)
    }

    fn subdirectory(&mut self, met: Met<'_>, opaque: bool) -> Result<(), ScanError> {
        let path = met.path;
        let xattrs = attributes::read_of(met.dir, &met.name, &met.names);
        let xattrs = xattrs.map_err(read_error(&path))?;
        let metadata = met.found.metadata(xattrs);
        let before = met.known.filter(|known| known.is_directory()).cloned();
        match &before {
            Some(before) if same_metadata(before.metadata(), &metadata) => {}
            Some(_) => self.edits.push((path.clone(), Edit::Describe(metadata))),
            None => {
                let node = Node::empty_directory(metadata);
                self.edits.push((path.clone(), Edit::Put(node)));
            }
        }
        self.waiting.push(Directory {
            path,
            before,
            opaque,
        });
        Ok(())
    }

    fn leaf(&mut self, met: Met<'_>) -> Result<(), ScanError> {
        let known = met.known.filter(|known| !known.is_directory());
        let known = known.map(|known| (known.clone(), self.below(&met.path)));
        let Met {
            dir,
            name,
            path,
            found,
            names,
            ..
        } = met;
        if found.is_linked() {
            self.linked.push(Linked { path, found, known });
            return Ok(());
        }
        let candidate = known.as_ref().map(candidate);
        let xattrs = attributes::read_of(dir, &name, &names).at("read", &path)?;
        let node = read_with(dir, &name, &found, xattrs, candidate.as_slice()).at("read", &path)?;
        self.put(path, known.as_ref(), node);
        Ok(())
    }

    /// What tells whether a file of the root had other names, which it then no
    /// longer shares an inode with.
    fn below(&self, path: &TreePath) -> Option<Stamp> {
        let (dir, name) = self.root.place(path).ok()?;
        dir.stat(name).ok().map(|stat| Stamp::of(&stat))
    }

    fn put(&mut self, path: TreePath, known: Option<&(Node, Option<Stamp>)>, node: Node) {
        if !known.is_some_and(|(known, _)| known.same(&node)) {
            self.edits.push((path, Edit::Put(node)));
        }
    }

    /// Gives all names of one inode one node. None of them is outside the upper
    /// directory, since nothing there is linked to anything in the root.
    fn settle(&mut self) -> Result<(), ScanError> {
        let mut linked = std::mem::take(&mut self.linked);
        linked.sort_by_key(Linked::inode);
        for names in linked.chunk_by(|a, b| a.inode() == b.inode()) {
            let known = names.iter().filter_map(|name| name.known.as_ref());
            let candidates: Vec<_> = known.map(candidate).collect();
            let first = &names[0];
            let opened = self.upper.parent(&first.path);
            let (dir, name) = opened.at("open the directory of", &first.path)?;
            let node = read(&dir, name, &first.found, &candidates).at("read", &first.path)?;
            for name in names {
                self.put(name.path.clone(), name.known.as_ref(), node.clone());
            }
        }
        Ok(())
    }
}

impl Linked {
    fn inode(&self) -> ((u32, u32), u64) {
        (self.found.filesystem, self.found.stamp.inode)
    }
}

fn candidate((node, stamp): &(Node, Option<Stamp>)) -> Candidate<'_> {
    Candidate {
        node,
        stamp: *stamp,
    }
}

fn valid(directory: &TreePath, bytes: &[u8]) -> Result<Name, ScanError> {
    Name::new(bytes).map_err(|_| ScanError::Name {
        directory: directory.clone(),
        name: bytes.escape_ascii().to_string(),
    })
}

fn edited(before: &Tree, edits: Vec<(TreePath, Edit)>) -> Tree {
    let mut tree = before.clone();
    for (path, edit) in edits {
        match edit {
            Edit::Put(node) => {
                let put = tree.insert(&path, node);
                put.expect("a directory is put before what is in it");
            }
            Edit::Describe(metadata) => {
                let described = tree.metadata_mut(&path);
                *described.expect("only what is in the tree is described anew") = metadata;
            }
            Edit::Remove => drop(tree.remove(&path)),
        }
    }
    tree
}
