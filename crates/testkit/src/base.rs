//! Base images without a public registry: busybox and Debian, made from Debian packages and kept between runs.

mod busybox;
mod debian;

use std::io::Read;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

pub use busybox::{APPLETS, binary as busybox_binary, fetch as fetch_busybox};
pub use debian::SUITE;

use crate::cache;
use crate::layout::Layout;

/// The time of every base image and of every file in busybox: 2024-01-01T00:00:00Z.
pub const CREATED: u64 = 1_704_067_200;

/// The `PATH` of every base image.
pub const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The busybox image: one layer with the usual directories, accounts and an applet link for each command.
///
/// The same busybox package gives the same digest.
///
/// # Errors
///
/// If there is no static busybox and none can be fetched.
pub fn busybox() -> Result<Layout> {
    let directory = cache::once("busybox", |path| {
        let archive = busybox::archive(&busybox::binary()?)?;
        write(
            path,
            &mut archive.as_slice(),
            "latest",
            json!({"Env": [PATH], "Cmd": ["sh"]}),
        )
    })?;
    Layout::open(&directory)
}

/// The Debian image: minbase of [`SUITE`] with package sources that work inside a RUN.
///
/// # Errors
///
/// If `mmdebstrap` is missing or the packages cannot be fetched.
pub fn debian() -> Result<Layout> {
    let directory = cache::once("debian", |path| {
        let archive = tempfile::NamedTempFile::new()?;
        debian::bootstrap(archive.path())?;
        write(
            path,
            &mut std::fs::File::open(archive.path())?,
            SUITE,
            json!({"Env": [PATH], "Cmd": ["bash"]}),
        )
    })?;
    Layout::open(&directory)
}

/// Writes a layout with one image of one layer.
fn write(directory: &Path, archive: &mut dyn Read, tag: &str, config: Value) -> Result<()> {
    let layout = Layout::create(directory)?;
    let layer = layout.add_layer(archive)?;
    let created = "2024-01-01T00:00:00Z";
    let whole = json!({
        "created": created,
        "architecture": ARCHITECTURE,
        "os": "linux",
        "config": config,
        "history": [{"created": created, "created_by": "made from Debian packages"}],
    });
    layout.set_image(tag, whole, &[layer])
}

/// The machine's architecture as images name it.
const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "amd64"
};
