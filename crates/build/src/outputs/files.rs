//! Results that are files: the root filesystem in a directory or a tar archive.

use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use yadokari_layer::{Contents, TarOptions, write_tar};
use yadokari_rootfs::Root;
use yadokari_tree::{Children, Name, Node, Tree, TreePath, diff};

use crate::blocking::blocking;
use crate::error::BuildError;
use crate::outputs::places::{OutputFailure, about};
use crate::outputs::publish::Finished;
use crate::request::{FileOutput, FileOutputKind};

/// The root filesystem of one platform, and the name of its directory among several.
struct PlatformRoot {
    name: String,
    tree: Tree,
    root: Arc<Root>,
}

/// Writes root filesystems; those of several platforms go into a directory each unless the output says otherwise.
pub(crate) async fn write_root(output: &FileOutput, images: &[Finished]) -> Result<(), BuildError> {
    let mut roots = Vec::with_capacity(images.len());
    for image in images {
        let (root, tree) = image.files.lock().await.root(&image.work).await?;
        let name = image.assembled.platform.to_string().replace('/', "_");
        roots.push(PlatformRoot { name, tree, root });
    }
    let split = output.platform_split.unwrap_or(images.len() > 1);
    let (kind, path, fresh) = (output.kind, output.path.clone(), output.fresh);
    blocking(move || {
        let written = match kind {
            FileOutputKind::Tar => archive(&path, roots, split),
            _ => copies(&path, &roots, split, fresh),
        };
        written.map_err(|error| about(&path, error))
    })
    .await
}

fn copies(path: &Path, roots: &[PlatformRoot], split: bool, fresh: bool) -> Result<(), BuildError> {
    if fresh
        && let Err(source) = std::fs::remove_dir_all(path)
        && source.kind() != io::ErrorKind::NotFound
    {
        return Err(OutputFailure::System(source).of(path));
    }
    roots.iter().try_for_each(|root| match split {
        true => copy(&path.join(&root.name), root),
        false => copy(path, root),
    })
}

fn copy(path: &Path, from: &PlatformRoot) -> Result<(), BuildError> {
    std::fs::create_dir_all(path).map_err(|source| OutputFailure::System(source).of(path))?;
    let target = Root::open(path).map_err(|source| OutputFailure::System(source).of(path))?;
    yadokari_rootfs::apply(&target, &diff(&Tree::empty(), &from.tree), &*from.root)?;
    Ok(())
}

/// Writes one archive, which appears complete or not at all.
fn archive(path: &Path, roots: Vec<PlatformRoot>, split: bool) -> Result<(), BuildError> {
    let joined = Joined::new(roots, split);
    if path == Path::new("-") {
        return joined.write(path, &mut io::stdout().lock());
    }
    let disk = |source| OutputFailure::System(source).of(path);
    if std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        let mut options = std::fs::File::options();
        let file = options.write(true).create(true).truncate(true).open(path);
        return joined.write(path, &mut file.map_err(disk)?);
    }
    let directory = path.parent().filter(|parent| *parent != Path::new(""));
    let directory = directory.unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory).map_err(disk)?;
    let mode: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let file = tempfile::Builder::new()
        .prefix("tmp-")
        .permissions(mode)
        .tempfile_in(directory);
    let mut file = file.map_err(disk)?;
    joined.write(path, file.as_file_mut())?;
    file.persist(path).map_err(|error| disk(error.error))?;
    Ok(())
}

/// The trees of all platforms as one.
struct Joined {
    tree: Tree,
    roots: Vec<PlatformRoot>,
    split: bool,
}

impl Joined {
    fn new(roots: Vec<PlatformRoot>, split: bool) -> Self {
        let tree = match roots.as_slice() {
            [only] if !split => only.tree.clone(),
            several => {
                let named = several.iter().filter_map(|root| {
                    Some((Name::new(&root.name).ok()?, root.tree.root().clone()))
                });
                let metadata = Tree::empty().root().metadata().clone();
                let mut children = Children::new();
                for (name, node) in named {
                    children.insert(name, node);
                }
                Tree::from_root(Node::directory(metadata, children)).unwrap_or_default()
            }
        };
        Self { tree, roots, split }
    }

    fn write(&self, path: &Path, out: &mut dyn Write) -> Result<(), BuildError> {
        let mut out = BufWriter::with_capacity(1 << 20, out);
        let changes = diff(&Tree::empty(), &self.tree);
        write_tar(&changes, self, &TarOptions::default(), &mut out)?;
        out.flush()
            .map_err(|source| OutputFailure::System(source).of(path))
    }
}

impl Contents for Joined {
    fn open(&self, path: &TreePath, node: &Node) -> io::Result<Box<dyn Read + '_>> {
        let found = self.roots.iter().find_map(|root| {
            if !self.split {
                return Some((root, path.clone()));
            }
            let below = path.strip_prefix(&TreePath::parse(&root.name))?;
            Some((root, below))
        });
        let (root, path) = found.ok_or(io::ErrorKind::NotFound)?;
        root.root.open(&path, node)
    }
}
