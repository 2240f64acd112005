//! The suite inside an unprivileged container.

use std::path::Path;

use anyhow::{Context, Result};
use yadokari_testkit::{Docker, Registry, base};

use super::tally::Tally;
use super::{Options, build_line, folder, tally_of};

/// What the suite's scripts use besides a shell.
const PACKAGES: &[&str] = &["attr", "bzip2", "git", "python3", "xz-utils", "zstd"];

/// Runs the suite in one container of a Debian with Python in it.
///
/// Inputs and outputs lie on a volume, which stays in its place while the root around it is swapped. For the same
/// reason one case runs at a time.
pub(super) fn run(executor: &Path, registry: &Registry, options: &Options) -> Result<Tally> {
    let docker = Docker::start()?;
    let archive = base::debian_archive_with("debian-parity", PACKAGES)?;
    docker.import(&archive, "parity", &[])?;
    let work = tempfile::tempdir()?;
    let folder_of_executor = executor
        .parent()
        .context("an executor without a directory")?;
    let name = executor.file_name().context("an executor without a name")?;
    let inside = Path::new("/executor").join(name);
    let mut spec = docker
        .container("parity")
        .volume(&folder(), "/parity:ro")
        .volume(folder_of_executor, "/executor:ro")
        .volume(work.path(), "/inputs")
        .env("TMPDIR", "/inputs")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    if let Some(out) = &options.out {
        std::fs::create_dir_all(out)?;
        spec = spec.volume(&out.canonicalize()?, "/out");
    }
    let line = build_line(&inside, &registry.address());
    let mut words = vec![
        "python3",
        "-u",
        "/parity/run.py",
        "--lack",
        "mounts,namespaces",
        "--only",
        &options.only,
    ];
    words.extend(["--cmd", &line]);
    if options.out.is_some() {
        words.extend(["--out", "/out"]);
    }
    let container = spec.args(words).create()?;
    tally_of(docker.command().args(["start", "--attach", container.id()]))
}
