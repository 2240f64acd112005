//! How much memory a build takes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use yadokari_testkit::{needs, skip_unless};

const MIB: u64 = 1 << 20;

/// A directory in memory, where there is one: some disks take seconds for thousands of files.
fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    TempDir::with_prefix_in("yadokari-memory", place).unwrap()
}

/// The highest resident memory of a build of this context, in bytes, as far as it was seen.
fn peak(context: &Path, flags: &[&str]) -> u64 {
    let place = directory();
    let mut build = Command::new(env!("CARGO_BIN_EXE_yadokari"))
        .args(["build", "--quiet", "--oci-layout"])
        .arg(place.path().join("image"))
        .args(flags)
        .arg(context)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("YADOKARI_DIR", place.path().join("state"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut highest = 0;
    while build.try_wait().unwrap().is_none() {
        highest = highest.max(high_water(&build).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(build.wait().unwrap().success());
    highest
}

fn high_water(process: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

fn context(dockerfile: &str) -> (TempDir, PathBuf) {
    let directory = directory();
    std::fs::write(directory.path().join("Dockerfile"), dockerfile).unwrap();
    let files = directory.path().join("files");
    std::fs::create_dir(&files).unwrap();
    (directory, files)
}

#[test]
fn a_copied_file_takes_less_than_four_hundred_bytes() {
    skip_unless!(needs::root());
    let (context, files) = context("FROM scratch\nCOPY files /files\n");
    let fill = |from: usize, to: usize| {
        for number in from..to {
            let directory = files.join(format!("{:03}", number / 500));
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join(format!("file-{number}")), "x").unwrap();
        }
    };
    let cache = format!("oci:{}", context.path().join("cache").display());
    let cached = ["--cache-to", cache.as_str()];
    // One build in a few takes ten megabytes more or less than the others: allocators keep what threads gave back.
    let usual = |flags: &[&str]| {
        let mut peaks = [(); 3].map(|()| peak(context.path(), flags));
        peaks.sort_unstable();
        peaks[1]
    };
    fill(0, 20_000);
    let few = [usual(&[]), usual(&cached)];
    fill(20_000, 180_000);
    let many = [usual(&[]), usual(&cached)];
    for (few, many) in few.into_iter().zip(many) {
        let each = many.saturating_sub(few) / 160_000;
        assert!(each < 400, "{each} bytes a file: {few}, then {many}");
    }
}

#[test]
fn the_size_of_a_layer_takes_no_memory() {
    let (context, files) = context("FROM scratch\nCOPY files /files\n");
    let mut noise = std::fs::File::open("/dev/urandom").unwrap();
    let mut file = std::fs::File::create(files.join("noise")).unwrap();
    std::io::copy(&mut std::io::Read::take(&mut noise, 96 * MIB), &mut file).unwrap();
    for compression in ["gzip", "zstd", "uncompressed"] {
        let peak = peak(context.path(), &["--compression", compression]);
        assert!(peak < 96 * MIB, "{compression}: {peak} bytes");
    }
}
