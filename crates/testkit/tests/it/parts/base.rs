//! Base images on a machine that has less than this one.

use yadokari_testkit::{base, executor, needs, skip_unless};

#[test]
fn a_static_busybox_is_fetched_without_being_installed() {
    skip_unless!(needs::program("apt-get"), needs::program("dpkg-deb"));
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("package");
    base::fetch_busybox(&directory).unwrap();
    let busybox = std::fs::read(directory.join("root/bin/busybox")).unwrap();
    assert!(executor::is_static_elf(&busybox));
}
