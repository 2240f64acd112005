//! A busybox root, and the driver that runs commands in it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use yadokari_sandbox::RunSpec;
use yadokari_testkit::needs;

/// A scratch directory with a root, a state directory and space for sources.
pub(crate) struct Ground {
    pub(crate) directory: TempDir,
}

impl Ground {
    /// None, with a message, where the test cannot run.
    pub(crate) fn for_root() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            needs::skip("needs root");
            return None;
        }
        Self::new()
    }

    pub(crate) fn new() -> Option<Self> {
        if !Path::new(BUSYBOX).exists() {
            needs::skip("needs /bin/busybox (Debian package busybox-static)");
            return None;
        }
        let ground = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(ground.path("state")).unwrap();
        make_root(&ground.root());
        Some(ground)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// A spec for a shell script in the root.
    pub(crate) fn spec(&self, script: &str) -> RunSpec {
        script_spec(&self.root(), script)
    }

    /// Runs `spec` and gives what the driver printed.
    pub(crate) fn run(&self, isolation: &str, spec: &RunSpec) -> Output {
        self.command(isolation, spec).output().unwrap()
    }

    /// What the driver finds out about overlays in a state directory.
    pub(crate) fn overlay(&self, state: &Path) -> Output {
        let mut command = Command::new(driver());
        command.arg("overlay").arg(state).output().unwrap()
    }

    /// The driver's command line for `spec`.
    pub(crate) fn command(&self, isolation: &str, spec: &RunSpec) -> Command {
        let file = self.path("spec.json");
        fs::write(&file, serde_json::to_vec(spec).unwrap()).unwrap();
        let mut command = Command::new(driver());
        command
            .args(["run", isolation])
            .arg(self.path("state"))
            .arg(file);
        command
    }

    /// What lies in the root beside busybox, sorted.
    pub(crate) fn left(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect(&self.root(), Path::new(""), &mut found);
        found.retain(|path| !path.starts_with("bin"));
        found.sort();
        found
    }
}

pub(crate) fn script_spec(root: &Path, script: &str) -> RunSpec {
    let mut spec = RunSpec::new(root, ["/bin/sh", "-c", script]);
    spec.env = vec![("PATH".into(), "/bin".into())];
    spec
}

pub(crate) fn make_root(root: &Path) {
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::create_dir_all(root.join("tmp")).unwrap();
    fs::copy(BUSYBOX, root.join("bin/busybox")).unwrap();
    let list = Command::new(BUSYBOX).arg("--list").output().unwrap();
    for applet in String::from_utf8(list.stdout)
        .unwrap()
        .lines()
        .filter(|name| *name != "busybox")
    {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
}

/// The example that cargo builds beside the tests.
pub(crate) fn driver() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/driver")
}

/// Puts the driver and its libraries into a root, so that a command there can use it.
pub(crate) fn install_driver(root: &Path) {
    let mut files = vec![(driver(), PathBuf::from("bin/driver"))];
    for library in libraries() {
        let place = library.strip_prefix("/").unwrap().to_owned();
        files.push((library, place));
    }
    for (from, to) in files {
        let to = root.join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}

/// The libraries that the driver is linked with.
pub(crate) fn libraries() -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(driver()).output().unwrap();
    let words = stdout(&output);
    let words = words.split_ascii_whitespace();
    words
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn collect(root: &Path, path: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(root.join(path)).unwrap().map(Result::unwrap) {
        let path = path.join(entry.file_name());
        found.push(path.display().to_string());
        if entry.file_type().unwrap().is_dir() {
            collect(root, &path, found);
        }
    }
}

pub(crate) const BUSYBOX: &str = "/bin/busybox";
