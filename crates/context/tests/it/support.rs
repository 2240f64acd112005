//! What the tests share.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Once;

use yadokari_context::{BuildContext, ContextError, FetchOptions, Source, Stdin, fetch};
use yadokari_dockerfile::ignore::Patterns;
use yadokari_tree::{Kind, Tree, TreePath};

pub(crate) fn client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
    });
    reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .build()
        .unwrap()
}

pub(crate) fn options() -> FetchOptions {
    FetchOptions::new(client(), crate::git::library())
}

/// Writes files; a name ending in `/` is a directory.
pub(crate) fn write(directory: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = directory.join(name);
        if name.ends_with('/') {
            std::fs::create_dir_all(path).unwrap();
            continue;
        }
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

pub(crate) async fn from_stdin(
    bytes: Vec<u8>,
    scratch: &Path,
) -> Result<BuildContext, ContextError> {
    let mut options = options();
    options.stdin = Stdin::Stream(Box::new(std::io::Cursor::new(bytes)));
    fetch(Source::Stdin, scratch, options).await
}

/// The names in a context, as a COPY sees them.
pub(crate) fn names(context: &BuildContext, ignored: &str) -> Vec<String> {
    let patterns = Patterns::parse(ignored.as_bytes()).unwrap();
    let files = context.files_without(&patterns, 2).unwrap();
    files
        .tree()
        .walk()
        .map(|(path, _)| path.to_string())
        .collect()
}

/// Mode and type of an entry.
pub(crate) fn shape(tree: &Tree, path: &str) -> (char, u16) {
    let node = tree
        .get(&TreePath::parse(path))
        .unwrap_or_else(|| panic!("no {path}"));
    let kind = match node.kind() {
        Kind::Directory(_) => 'd',
        Kind::File(_) => 'f',
        Kind::Symlink(_) => 'l',
        _ => '?',
    };
    (kind, node.metadata().mode)
}

/// Sends bytes through a program of the machine.
pub(crate) fn through(program: &str, bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap().stdout
}
