//! Plain chroot.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use yadokari_sandbox::{Mount, MountSource, Network};

use crate::support::{Ground, install_driver, stderr, stdout};

#[test]
fn a_chroot_has_devices_for_the_run_only_and_no_proc() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    let output = ground.run(
        "chroot",
        &ground.spec("ls /proc; ls /dev; echo x > /dev/null; (setsid sleep 4244 &); exit 4"),
    );
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "fd\nfull\nnull\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n".to_owned(),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("there is no /proc in chroot isolation"));
    assert!(stderr(&output).contains("1 processes were left"));
    assert_eq!(ground.left(), ["dev", "proc", "sys", "tmp"]);
}

#[test]
fn what_a_chroot_cannot_do_is_refused() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    let mut spec = ground.spec("true");
    spec.network = Network::None;
    assert!(
        stderr(&ground.run("chroot", &spec))
            .contains("--network=none in chroot isolation needs namespaces")
    );
}

#[test]
fn mounts_of_every_kind_are_put_in_and_taken_out() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    fs::create_dir(ground.path("cache")).unwrap();
    fs::write(ground.path("cache/old"), "old ").unwrap();
    for name in ["secret", "script"] {
        fs::write(ground.path(name), "hush ").unwrap();
        fs::set_permissions(ground.path(name), fs::Permissions::from_mode(0o400)).unwrap();
    }
    fs::create_dir_all(ground.root().join("opt/own")).unwrap();
    let before = fs::metadata(ground.root().join("opt")).unwrap();
    let mut spec = ground.spec(
        "cat /opt/own/old /run/secrets/key /dev/pipes/EOF; stat -c %a /run/secrets/key /scratch; \
         echo new > /opt/own/new; touch /scratch/x /dev/shm/x; grep -c 10.1.2.3 /etc/hosts; echo kept > /kept",
    );
    spec.hosts = vec![("10.1.2.3".into(), "db".into())];
    let mount = |target: &str, source| Mount {
        target: PathBuf::from(target),
        source,
        read_only: false,
    };
    spec.mounts = vec![
        mount("/opt/own", MountSource::Directory(ground.path("cache"))),
        mount("/run/secrets/key", MountSource::File(ground.path("secret"))),
        mount("/dev/pipes/EOF", MountSource::File(ground.path("script"))),
        mount(
            "/scratch",
            MountSource::Tmpfs {
                size: None,
                mode: 0o1777,
            },
        ),
    ];
    let output = ground.run("chroot", &spec);
    assert_eq!(
        stdout(&output),
        "old hush hush 400\n1777\n1\n",
        "{}",
        stderr(&output)
    );
    assert_eq!(
        ground.left(),
        ["dev", "kept", "opt", "opt/own", "proc", "sys", "tmp"]
    );
    let after = fs::metadata(ground.root().join("opt")).unwrap();
    assert_eq!(before.mtime_nsec(), after.mtime_nsec());
    for (name, text) in [
        ("cache/new", "new\n"),
        ("secret", "hush "),
        ("script", "hush "),
    ] {
        assert_eq!(
            fs::read_to_string(ground.path(name)).unwrap(),
            text,
            "{name}"
        );
    }
}

#[test]
fn a_command_in_a_chroot_reaches_nothing_outside() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    install_driver(&ground.root());
    fs::write(ground.path("outside"), "outside").unwrap();
    let own = std::process::id();
    let output = ground.run(
        "chroot",
        &ground.spec(&format!(
            "/bin/driver reach {own}; mkdir /tmp/d; chroot /tmp/d /bin/true; \
             for up in ../../../../../../.. /proc/{own}/root; do cat $up{}; done; kill -9 -1; echo end",
            ground.path("outside").display()
        )),
    );
    assert_eq!(stdout(&output), "end\n", "{}", stderr(&output));
}

#[test]
fn what_is_in_the_way_of_devices_stays() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    fs::create_dir(ground.root().join("dev")).unwrap();
    fs::write(ground.root().join("dev/null"), "").unwrap();
    let before = fs::metadata(ground.root().join("dev")).unwrap();
    let output = ground.run("chroot", &ground.spec("stat -c %F /dev/null /dev/zero"));
    assert_eq!(
        stdout(&output),
        "regular empty file\ncharacter special file\n"
    );
    assert_eq!(ground.left(), ["dev", "dev/null", "proc", "sys", "tmp"]);
    let after = fs::metadata(ground.root().join("dev")).unwrap();
    assert_eq!(
        (before.mtime(), before.mtime_nsec()),
        (after.mtime(), after.mtime_nsec())
    );
}
