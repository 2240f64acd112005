//! The Debian root filesystem.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::CREATED;
use crate::process;

/// The Debian release that base images are made from.
pub const SUITE: &str = "bookworm";

/// Makes a minimal Debian root with `mmdebstrap` and writes it as a tar archive.
///
/// Device nodes are left out, as in every published image, since few builders may make them. So are the files that
/// `mmdebstrap` copies from this machine.
pub(super) fn bootstrap(archive: &Path) -> Result<()> {
    let mut command = Command::new("mmdebstrap");
    command.args([
        "--quiet",
        "--variant=minbase",
        "--format=tar",
        "--skip=output/dev",
    ]);
    command.arg("--customize-hook=rm -f \"$1\"/etc/resolv.conf \"$1\"/etc/hostname");
    command
        .arg(SUITE)
        .arg(archive)
        .env("SOURCE_DATE_EPOCH", CREATED.to_string());
    process::run(&mut command).map(drop)
}
