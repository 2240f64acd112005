//! Source trees with a Dockerfile, as people have them.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use yadokari_testkit::{cache, process};

/// A directory with a project in it.
#[derive(Debug)]
pub(crate) struct Project {
    directory: TempDir,
}

impl Project {
    /// An empty project with this Dockerfile.
    pub(crate) fn new(dockerfile: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("project-")
            .tempdir()
            .unwrap();
        let project = Self { directory };
        project.write("Dockerfile", dockerfile);
        project
    }

    /// A C program, compiled in a Debian stage and shipped in another one.
    pub(crate) fn debian() -> Self {
        let project = Self::new(include_str!("project/Dockerfile"));
        project.write("src/main.c", include_str!("project/main.c"));
        project.write("src/greet.h", "const char *greeting(void);\n");
        project.write(
            "src/greet.c",
            "const char *greeting(void) { return \"hello\"; }\n",
        );
        project.write("assets/motd", "made of small parts\n");
        project.write("notes/private.txt", "not for the image\n");
        project.write(".dockerignore", "notes\n.git\n");
        project
    }

    /// A copy of a directory of this repository.
    pub(crate) fn copy_of(directory: &str) -> Self {
        let project = Self::new("");
        let from = cache::workspace().join(directory).join(".");
        let mut copy = std::process::Command::new("cp");
        process::run(copy.arg("-r").arg(from).arg(project.path())).unwrap();
        project
    }

    /// A directory that is a project already.
    pub(crate) fn of(directory: TempDir) -> Self {
        Self { directory }
    }

    /// Writes a file below the project's directory.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The project's directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A path below the project's directory.
    pub(crate) fn join(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }
}
