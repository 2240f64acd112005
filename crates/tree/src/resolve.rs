//! Path resolution that stays inside the tree.

use crate::{Node, Tree, TreePath};

/// Whether a symlink in the last place is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Follow symlinks everywhere, as `stat` does.
    All,
    /// Follow them above the last component only, as `lstat` does.
    Parents,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The real path: no existing component above the last is a symlink.
    pub path: TreePath,
    /// What is there; `None` if it, or a directory above it, does not exist.
    pub node: Option<Node>,
}

/// A path that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// More symlinks than a kernel would follow.
    #[error("too many levels of symbolic links in `{path}`")]
    Loop {
        /// The path that was asked for.
        path: TreePath,
    },
    /// Something on the way exists and is no directory.
    #[error("`{path}` is not a directory")]
    NotDirectory {
        /// The real path of what is in the way.
        path: TreePath,
    },
}

/// How many symlinks one resolution follows.
const MAX_LINKS: usize = 255;

impl Tree {
    /// Follows a path as the kernel would inside a root: absolute symlinks
    /// start at the tree's root, and `..` is the real parent, at most the root.
    ///
    /// The path is raw bytes, absolute or not. What does not exist is no error:
    /// the rest of the path is appended lexically.
    ///
    /// # Errors
    ///
    /// If links go in circles, or something that is no directory is passed through.
    pub fn resolve(
        &self,
        path: impl AsRef<[u8]>,
        follow: Follow,
    ) -> Result<Resolved, ResolveError> {
        let asked = path.as_ref();
        let mut way = Way {
            tree: self,
            trail: vec![self.root()],
            path: TreePath::root(),
            missing: 0,
        };
        let mut pending = reversed_components(asked);
        let mut links = 0;
        while let Some(component) = pending.pop() {
            way.step(&component)?;
            let last = pending.is_empty() && follow == Follow::Parents;
            if let Some(target) = way.symlink().filter(|_| !last) {
                links += 1;
                if links > MAX_LINKS {
                    return Err(ResolveError::Loop {
                        path: TreePath::parse(asked),
                    });
                }
                way.leave_link(target.first() == Some(&b'/'));
                pending.extend(reversed_components(target));
            }
        }
        Ok(way.finish())
    }
}

/// The part of the path that has been walked.
struct Way<'a> {
    tree: &'a Tree,
    /// The node of every existing component, the root first.
    trail: Vec<&'a Node>,
    path: TreePath,
    /// How many components at the end of `path` do not exist.
    missing: usize,
}

impl<'a> Way<'a> {
    fn step(&mut self, component: &[u8]) -> Result<(), ResolveError> {
        if component == b".." {
            self.up();
            return Ok(());
        }
        let children = match (self.missing, self.here().children()) {
            (0, None) => {
                return Err(ResolveError::NotDirectory {
                    path: self.path.clone(),
                });
            }
            (0, Some(children)) => Some(children),
            _ => None,
        };
        match children.and_then(|children| children.get(component)) {
            Some(child) => self.trail.push(child),
            None => self.missing += 1,
        }
        self.path.step(component);
        Ok(())
    }

    fn up(&mut self) {
        if !self.path.pop() {
            return;
        }
        if self.missing > 0 {
            self.missing -= 1;
        } else {
            self.trail.pop();
        }
    }

    fn here(&self) -> &'a Node {
        self.trail.last().copied().unwrap_or(self.tree.root())
    }

    fn symlink(&self) -> Option<&'a [u8]> {
        if self.missing == 0 {
            self.here().target()
        } else {
            None
        }
    }

    fn leave_link(&mut self, absolute: bool) {
        if absolute {
            self.trail.truncate(1);
            self.path = TreePath::root();
        } else {
            self.up();
        }
    }

    fn finish(self) -> Resolved {
        let node = (self.missing == 0).then(|| self.here().clone());
        Resolved {
            path: self.path,
            node,
        }
    }
}

/// Components last to first, as a stack wants them.
fn reversed_components(path: &[u8]) -> Vec<Box<[u8]>> {
    let components = path.split(|byte| *byte == b'/').rev();
    components
        .filter(|component| !matches!(*component, b"" | b"."))
        .map(Into::into)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree;

    fn resolved(text: &str, path: &str, follow: Follow) -> String {
        match tree(text).resolve(path, follow) {
            Ok(Resolved {
                path,
                node: Some(_),
            }) => path.to_string(),
            Ok(Resolved { path, node: None }) => format!("{path} missing"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn links_stay_inside_the_root() {
        let text = "/usr/lib/so 0644 x\n/lib -> usr/lib\n/abs -> /usr\n/up -> ../../../usr/lib\n\
                    /var/run -> /run\n/run/ 0755\n/usr/back -> ..\n/dangling -> /no/where\n/self -> .";
        for (path, want) in [
            ("/lib/so", "/usr/lib/so"),
            ("/abs/lib/so", "/usr/lib/so"),
            ("/up/so", "/usr/lib/so"),
            ("/var/run/pid", "/run/pid missing"),
            ("/var/run/a/b/../c", "/run/a/c missing"),
            ("/usr/back/usr/back/lib", "/usr/lib"),
            ("/lib/../x", "/usr/x missing"),
            ("/dangling/x", "/no/where/x missing"),
            ("/usr/lib/so/x", "`/usr/lib/so` is not a directory"),
            ("../../..", "/"),
            ("/self/self/self", "/"),
        ] {
            assert_eq!(resolved(text, path, Follow::All), want, "{path}");
        }
    }

    #[test]
    fn the_last_link_is_kept_when_only_parents_are_followed() {
        let text = "/d/ 0755\n/l -> d\n/d/m -> /nowhere";
        assert_eq!(resolved(text, "/l", Follow::Parents), "/l");
        assert_eq!(resolved(text, "/l", Follow::All), "/d");
        assert_eq!(resolved(text, "/l/m", Follow::Parents), "/d/m");
        assert_eq!(resolved(text, "/l/m", Follow::All), "/nowhere missing");
    }

    #[test]
    fn circles_end() {
        for text in ["/a -> a", "/a -> b\n/b -> /a", "/a -> a/a/a/a"] {
            let error = tree(text).resolve("/a/x", Follow::All);
            assert_eq!(
                error,
                Err(ResolveError::Loop {
                    path: "/a/x".into()
                }),
                "{text}"
            );
        }
    }
}
