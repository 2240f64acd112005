//! Commands whose changes go into the upper directory of an overlay.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, chown};
use std::path::PathBuf;

use yadokari_sandbox::{Mount, MountSource, Overlay, OverlayMarks, RunSpec};

use crate::support::{Ground, stderr, stdout};
use crate::user::{UID, run_spec};

fn overlay(ground: &Ground, marks: OverlayMarks) -> Overlay {
    // Names that mount options would have to quote.
    let [upper, work] = ["upper, a:b\\", "work, a:b\\"].map(|name| ground.path(name));
    for directory in [&upper, &work] {
        fs::create_dir(directory).unwrap();
    }
    Overlay {
        upper,
        lower: Vec::new(),
        work,
        marks,
    }
}

/// A command that changes, removes, replaces and makes something.
fn changing(ground: &Ground) -> RunSpec {
    for path in ["tmp/old", "tmp/dir/in", "tmp/dir/file"] {
        let path = ground.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "before").unwrap();
    }
    ground.spec(
        "rm /tmp/old && rm -r /tmp/dir && mkdir /tmp/dir && echo new > /tmp/dir/file && touch /made \
         && ls /tmp/dir && id -u",
    )
}

fn check_changed(ground: &Ground, upper: &std::path::Path) {
    assert!(ground.root().join("tmp/old").exists());
    assert!(ground.root().join("tmp/dir/in").exists());
    assert!(!ground.root().join("made").exists());
    let whiteout = fs::symlink_metadata(upper.join("tmp/old")).unwrap();
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
    assert_eq!(
        fs::read_to_string(upper.join("tmp/dir/file")).unwrap(),
        "new\n"
    );
    assert!(upper.join("made").exists());
}

fn attribute(path: &std::path::Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 16];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

#[test]
fn the_root_stays_as_it_was_and_the_upper_directory_has_the_change() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    let mut spec = changing(&ground);
    let overlay = overlay(&ground, OverlayMarks::Trusted);
    let upper = overlay.upper.clone();
    spec.overlay = Some(overlay);
    let output = ground.run("namespaces", &spec);
    assert_eq!(stdout(&output), "file\n0\n", "{}", stderr(&output));
    check_changed(&ground, &upper);
    let opaque = attribute(&upper.join("tmp/dir"), "trusted.overlay.opaque");
    assert_eq!(opaque.as_deref(), Some(&b"y"[..]));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(ground.root().to_str().unwrap()));
}

#[test]
fn what_the_root_lacks_shows_from_below_and_stays_there() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    let mut spec =
        ground.spec("cat /tmp/f /tmp/only && rm /tmp/only /tmp/f && ! ls /tmp/f /tmp/only 2>&-");
    let mut overlay = overlay(&ground, OverlayMarks::Trusted);
    for (directory, files) in [
        ("one: a,b", &["tmp/f"][..]),
        ("two", &["tmp/f", "tmp/only"]),
    ] {
        let directory = ground.path(directory);
        for file in files {
            let path = directory.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{file} of {}\n", overlay.lower.len())).unwrap();
        }
        overlay.lower.push(directory);
    }
    let lower = overlay.lower.clone();
    spec.overlay = Some(overlay);
    let output = ground.run("namespaces", &spec);
    assert_eq!(
        stdout(&output),
        "tmp/f of 0\ntmp/only of 1\n",
        "{}",
        stderr(&output)
    );
    assert!(lower[0].join("tmp/f").exists() && lower[1].join("tmp/only").exists());
}

#[test]
fn an_ordinary_user_has_marks_of_its_own() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    let mut spec = changing(&ground);
    let overlay = overlay(&ground, OverlayMarks::User);
    let upper = overlay.upper.clone();
    for path in ["tmp/old", "tmp/dir", "tmp/dir/in", "tmp/dir/file"] {
        chown(ground.root().join(path), Some(UID), Some(UID)).unwrap();
    }
    for path in [&overlay.upper, &overlay.work] {
        chown(path, Some(UID), Some(UID)).unwrap();
    }
    spec.overlay = Some(overlay);
    let output = run_spec(&ground, &spec);
    assert_eq!(stdout(&output), "file\n0\n", "{}", stderr(&output));
    check_changed(&ground, &upper);
    let opaque = attribute(&upper.join("tmp/dir"), "user.overlay.opaque");
    assert_eq!(opaque.as_deref(), Some(&b"y"[..]));
}

#[test]
fn mount_points_leave_nothing_but_a_copied_directory() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    fs::create_dir(ground.root().join("etc")).unwrap();
    let modified = |path: PathBuf| {
        let found = fs::metadata(path).unwrap();
        (found.mtime(), found.mtime_nsec())
    };
    let before = modified(ground.root().join("etc"));
    let mut spec = ground.spec("cat /etc/hosts > /dev/null && touch /a/b/x");
    spec.mounts = vec![Mount {
        target: PathBuf::from("/a/b"),
        source: MountSource::Tmpfs {
            size: None,
            mode: 0o1777,
        },
        read_only: false,
    }];
    let overlay = overlay(&ground, OverlayMarks::Trusted);
    let upper = overlay.upper.clone();
    spec.overlay = Some(overlay);
    let output = ground.run("namespaces", &spec);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut left: Vec<_> = fs::read_dir(&upper)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["dev", "etc", "proc", "sys"]);
    assert_eq!(fs::read_dir(upper.join("etc")).unwrap().count(), 0);
    assert_eq!(modified(upper.join("etc")), before);
}

#[test]
fn only_namespaces_have_overlays() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    let mut spec = ground.spec("true");
    spec.overlay = Some(overlay(&ground, OverlayMarks::Trusted));
    let output = ground.run("chroot", &spec);
    assert_eq!(
        stderr(&output),
        "error: an overlay in chroot isolation needs namespaces (CAP_SYS_ADMIN or a user namespace)\n"
    );
}

/// The answer comes from trying: an upper directory may not lie in an overlay.
#[test]
fn a_state_directory_inside_an_overlay_is_found_out() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    let state = ground.path("state");
    let output = ground.overlay(&state);
    assert_eq!(stdout(&output), "Ok(Trusted)\n", "{}", stderr(&output));
    assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
    for directory in ["lower", "upper", "work"] {
        fs::create_dir(ground.path(directory)).unwrap();
    }
    let at = |name: &str| ground.path(name).display().to_string();
    let script = format!(
        "mount -t overlay overlay -o lowerdir={},upperdir={},workdir={} {} && exec {}",
        at("lower"),
        at("upper"),
        at("work"),
        at("state"),
        crate::support::driver().display()
    );
    let script = format!("{script} overlay {}", at("state"));
    let output = std::process::Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .output()
        .unwrap();
    let told = stdout(&output);
    assert!(
        told.starts_with("Err(Setup(Fault"),
        "{told}{}",
        stderr(&output)
    );
}
