//! A registry on loopback and a directory, for commands that move images.

use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;
use yadokari_testkit::{EmbeddedRegistry, Layout};

/// A registry and a directory to work in.
pub(crate) struct Place {
    pub(crate) registry: EmbeddedRegistry,
    pub(crate) directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            registry: EmbeddedRegistry::start().unwrap(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    pub(crate) fn name(&self, repository: &str) -> String {
        format!("{}/{repository}", self.registry.address())
    }

    pub(crate) fn try_run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_yadokari"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("YADOKARI_DIR", self.directory.path().join("state"));
        command
    }

    /// What a command prints.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.try_run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    /// An image of one file for a platform, in a layout of its own.
    pub(crate) fn layout(&self, name: &str, architecture: &str) -> Layout {
        let config = json!({"architecture": architecture, "os": "linux", "config": {}});
        self.layout_of(name, config)
    }

    /// An image of one file with a configuration, in a layout of its own.
    pub(crate) fn layout_of(&self, name: &str, config: Value) -> Layout {
        let directory = self.directory.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        let layout = Layout::create(&directory).unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_path("name").unwrap();
        header.set_mode(0o644);
        header.set_size(name.len() as u64);
        header.set_cksum();
        archive.append(&header, name.as_bytes()).unwrap();
        let bytes = archive.into_inner().unwrap();
        let layer = layout.add_layer(&mut bytes.as_slice()).unwrap();
        layout.set_image("v1", config, &[layer]).unwrap();
        layout
    }

    pub(crate) fn manifest(&self, repository: &str, reference: &str) -> Value {
        let found = self.registry.manifest(repository, reference);
        let (_, bytes) = found.unwrap_or_else(|| panic!("no {repository}:{reference}"));
        serde_json::from_slice(&bytes).unwrap()
    }

    pub(crate) fn blobs_read(&self) -> usize {
        let requests = self.registry.requests();
        let reads =
            |request: &&String| request.starts_with("GET") && request.contains("/blobs/sha256:");
        requests.iter().filter(reads).count()
    }
}

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
