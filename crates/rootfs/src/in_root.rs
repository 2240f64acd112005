//! Resolution of symlinks inside a root where the kernel cannot do it.

use std::collections::VecDeque;
use std::io;

use rustix::fs::FileType;
use rustix::io::Errno;
use yadokari_tree::TreePath;

use crate::directory::kind_of;
use crate::root::Root;

/// The path without symlinks that `path` leads to, absolute links starting at
/// the root and `..` stopping there.
pub(crate) fn resolve(root: &Root, path: &TreePath) -> io::Result<TreePath> {
    let mut real = TreePath::root();
    let mut ahead: VecDeque<Box<[u8]>> = pieces(path.as_bytes()).collect();
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if &*name == b".." {
            real = real.parent().unwrap_or_else(TreePath::root);
            continue;
        }
        let here = real.join(&name);
        let Some(target) = link_text(root, &here)? else {
            real = here;
            continue;
        };
        links += 1;
        if links > LINKS {
            return Err(Errno::LOOP.into());
        }
        if target.starts_with(b"/") {
            real = TreePath::root();
        }
        for piece in pieces(&target).rev() {
            ahead.push_front(piece);
        }
    }
    Ok(real)
}

fn link_text(root: &Root, path: &TreePath) -> io::Result<Option<Box<[u8]>>> {
    let (parent, name) = root.place(path)?;
    match kind_of(&parent.stat(name)?) {
        FileType::Symlink => parent.read_link(name).map(Some),
        _ => Ok(None),
    }
}

fn pieces(path: &[u8]) -> impl DoubleEndedIterator<Item = Box<[u8]>> {
    path.split(|byte| *byte == b'/')
        .filter(|piece| !piece.is_empty() && *piece != b".")
        .map(Box::from)
}

// The kernel's own limit.
const LINKS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_where_the_kernel_says_they_do() {
        let temp = tempfile::tempdir().unwrap();
        let root = Root::open(temp.path()).unwrap();
        root.create_dir(&"/usr/lib".into(), 0o755).unwrap();
        root.write_file(&"/usr/lib/f".into(), b"x", 0o644).unwrap();
        for (name, target) in [
            (&b"lib"[..], &b"/usr/lib"[..]),
            (b"up", b"../../../usr/./lib/../lib"),
            (b"chain", b"lib/../../lib"),
            (b"loop", b"loop"),
            (b"out", b"/etc"),
        ] {
            root.top().symlink(name, target).unwrap();
        }
        for path in ["/lib/f", "/up/f", "/chain/../lib/f", "/usr/lib/f"] {
            assert_eq!(resolve(&root, &path.into()).unwrap(), "/usr/lib/f".into());
            assert_eq!(root.read_file(&path.into(), 9).unwrap(), b"x");
        }
        for path in [
            "/loop",
            "/loop/f",
            "/out/passwd",
            "/missing/f",
            "/usr/lib/f/g",
        ] {
            assert!(resolve(&root, &path.into()).is_err(), "{path}");
        }
    }
}
