//! Swaps on scratch directories, cut off at every step.

mod random;

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::rootswap::graft::{self, Grafts, StubsKnown};
use crate::rootswap::held::Held;
use crate::rootswap::journal::Journal;
use crate::rootswap::plan::{Disposition, Kept};
use crate::rootswap::recover::undo;
use crate::rootswap::swap::{Swap, journal_path};
use crate::spec::Mount;

/// A live root with a state directory in it, and a stage.
struct Scratch {
    directory: tempfile::TempDir,
}

impl Scratch {
    /// Entries end in `/` for directories and hold `->` for links; files hold their own name.
    fn new(live: &[&str], stage: &[&str]) -> Self {
        let scratch = Self {
            // Thousands of small changes: a disk would take its time.
            directory: tempfile::tempdir_in("/dev/shm")
                .or_else(|_| tempfile::tempdir())
                .unwrap(),
        };
        fs::create_dir_all(scratch.stage()).unwrap();
        fill(&scratch.live(), live, "live");
        fill(&scratch.stage(), stage, "stage");
        fs::set_permissions(scratch.stage(), fs::Permissions::from_mode(0o711)).unwrap();
        scratch
    }

    fn live(&self) -> PathBuf {
        self.directory.path().join("live")
    }

    fn state(&self) -> PathBuf {
        self.live().join(".state")
    }

    fn stage(&self) -> PathBuf {
        self.state().join("stage")
    }

    fn begin(&self, kept: &[&str]) -> Swap {
        let kept = Kept::new(
            kept.iter()
                .map(PathBuf::from)
                .chain([PathBuf::from(".state")]),
        );
        Swap::begin(
            &self.live(),
            &self.stage(),
            &area(&self.state()),
            kept,
            (0, 0),
        )
        .unwrap()
    }

    fn resume(&self) -> Option<Swap> {
        let area = area(&self.state());
        Swap::resume(&area, Journal::reopen(&journal_path(&area)).unwrap()?)
    }

    fn live_dump(&self) -> BTreeMap<String, String> {
        let mut all = dump(&self.live());
        all.retain(|path, _| !path.starts_with(".state"));
        all
    }

    fn stage_dump(&self) -> BTreeMap<String, String> {
        dump(&self.stage())
    }
}

fn fill(root: &Path, entries: &[&str], owner: &str) {
    fs::create_dir_all(root).unwrap();
    for entry in entries {
        if let Some((link, target)) = entry.split_once("->") {
            fs::create_dir_all(root.join(link).parent().unwrap()).unwrap();
            symlink(target, root.join(link)).unwrap();
        } else if entry.ends_with('/') {
            fs::create_dir_all(root.join(entry)).unwrap();
        } else {
            fs::create_dir_all(root.join(entry).parent().unwrap()).unwrap();
            fs::write(root.join(entry), format!("{owner} {entry}")).unwrap();
        }
    }
}

/// Every path below `root` with its mode and content.
fn dump(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(path) = open.pop() {
        let full = root.join(&path);
        let metadata = fs::symlink_metadata(&full).unwrap();
        let text = if metadata.is_dir() {
            open.extend(
                fs::read_dir(&full)
                    .unwrap()
                    .map(|entry| path.join(entry.unwrap().file_name())),
            );
            format!(
                "d {:o} {}.{:09}",
                metadata.mode() & 0o7777,
                metadata.mtime(),
                metadata.mtime_nsec()
            )
        } else if metadata.is_symlink() {
            format!("l {}", fs::read_link(&full).unwrap().display())
        } else {
            format!("f {}", fs::read_to_string(&full).unwrap())
        };
        found.insert(path.display().to_string(), text);
    }
    found
}

fn finish(mut swap: Swap) {
    undo(&mut swap).unwrap();
    swap.journal.finish().unwrap();
}

const LIVE: &[&str] = &[
    "bin/sh",
    "etc/hosts",
    "etc/passwd",
    "usr/lib/libc",
    "init",
    "run/secrets/token",
    "run/x",
    "lib->usr/lib",
];
const STAGE: &[&str] = &[
    "bin/sh",
    "bin/tool",
    "etc/hosts",
    "etc/issue",
    "usr/bin/",
    "run/lock/",
    "opt/app",
    "lib->usr/lib",
];
const KEPT: &[&str] = &["etc/hosts", "run/secrets/token"];

#[test]
fn the_stage_takes_the_place_of_the_container_and_both_come_back() {
    let scratch = Scratch::new(LIVE, STAGE);
    let (live, stage) = (scratch.live_dump(), scratch.stage_dump());
    let mut swap = scratch.begin(KEPT);
    swap.swap_in().unwrap();
    let during = scratch.live_dump();
    assert_eq!(during["bin/tool"], "f stage bin/tool");
    assert_eq!(during["etc/hosts"], "f live etc/hosts");
    assert_eq!(during["etc/issue"], "f stage etc/issue");
    assert_eq!(during[""].split(' ').nth(1), Some("711"));
    for gone in ["init", "etc/passwd", "usr/lib/libc", "run/x"] {
        assert!(!during.contains_key(gone), "{gone}");
    }
    finish(swap);
    assert_eq!(scratch.live_dump(), live);
    assert_eq!(scratch.stage_dump(), stage);
    assert!(scratch.resume().is_none());
}

#[test]
fn what_the_command_did_belongs_to_the_stage() {
    let scratch = Scratch::new(LIVE, STAGE);
    let live = scratch.live_dump();
    let mut swap = scratch.begin(KEPT);
    swap.swap_in().unwrap();
    let root = scratch.live();
    fs::remove_dir_all(root.join("bin")).unwrap();
    symlink("usr/bin", root.join("bin")).unwrap();
    fs::remove_dir_all(root.join("usr")).unwrap();
    fs::remove_file(root.join("lib")).unwrap();
    fs::create_dir(root.join("lib")).unwrap();
    fs::write(root.join("etc/new"), "new").unwrap();
    fs::set_permissions(root.join("etc"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(root.join("run/secrets/left"), "left").unwrap();
    fs::create_dir(root.join("srv")).unwrap();
    fs::remove_dir(root.join("run/lock")).unwrap();
    finish(swap);
    assert_eq!(scratch.live_dump(), live);
    let stage = scratch.stage_dump();
    assert_eq!(stage["bin"], "l usr/bin");
    assert!(!stage.contains_key("usr"));
    assert!(stage["lib"].starts_with('d') && stage["srv"].starts_with('d'));
    assert_eq!(stage["etc/new"], "f new");
    assert!(stage["etc"].starts_with("d 700"));
    assert_eq!(stage["etc/hosts"], "f stage etc/hosts");
    assert_eq!(stage["run/secrets/left"], "f left");
    assert!(!stage.contains_key("run/secrets/token") && !stage.contains_key("run/lock"));
}

#[test]
fn an_entered_directory_that_the_command_replaces_comes_back_for_the_container_only() {
    // `usr` is entered because the kernel refuses to move what lies in it; the refusal is recorded as a path that stays.
    let scratch = Scratch::new(&["usr/lib/a", "usr/keep"], &["usr/b"]);
    let live = scratch.live_dump();
    let mut swap = scratch.begin(&["usr/keep"]);
    swap.swap_in().unwrap();
    let root = scratch.live();
    // Not possible with a mount below, but with a directory of a lower layer it is.
    fs::rename(root.join("usr/keep"), scratch.directory.path().join("keep")).unwrap();
    fs::remove_dir_all(root.join("usr")).unwrap();
    symlink("elsewhere", root.join("usr")).unwrap();
    finish(swap);
    fs::rename(scratch.directory.path().join("keep"), root.join("usr/keep")).unwrap();
    assert_eq!(scratch.stage_dump()["usr"], "l elsewhere");
    let mut after = scratch.live_dump();
    // Only the time of the directory that the test itself touched differs.
    after.insert("usr".to_owned(), live["usr"].clone());
    assert_eq!(after, live);
}

#[test]
fn a_link_where_the_container_must_keep_a_directory_is_turned_round() {
    let scratch = Scratch::new(
        &["etc/hosts", "etc/passwd"],
        &["etc->usr/etc", "usr/etc/issue", "usr/bin/sh"],
    );
    let (live, stage) = (scratch.live_dump(), scratch.stage_dump());
    let mut swap = scratch.begin(&["etc/hosts"]);
    swap.swap_in().unwrap();
    let root = scratch.live();
    assert_eq!(
        fs::read_to_string(root.join("etc/issue")).unwrap(),
        "stage usr/etc/issue"
    );
    assert_eq!(
        fs::read_link(root.join("usr/etc")).unwrap(),
        Path::new("/etc")
    );
    fs::write(root.join("etc/new"), "new").unwrap();
    finish(swap);
    assert_eq!(scratch.live_dump(), live);
    let mut after = scratch.stage_dump();
    assert_eq!(after.remove("usr/etc/new").as_deref(), Some("f new"));
    after.insert("usr/etc".to_owned(), stage["usr/etc"].clone());
    after.insert("usr".to_owned(), stage["usr"].clone());
    assert_eq!(after, stage);
}

#[test]
fn directories_that_were_entered_at_any_depth_go_when_the_command_removes_or_replaces_them() {
    for replacement in ["nothing", "file", "link", "directory"] {
        let scratch = Scratch::new(
            &["usr/local/bin/tool", "usr/lib/a/b"],
            &["usr/local/bin/", "usr/lib/x", "usr/sbin/sh"],
        );
        let live = scratch.live_dump();
        let mut swap = scratch.begin(&[]);
        swap.simulated.lower(&scratch.live().join("usr"));
        swap.held = Held::Everything;
        swap.swap_in().unwrap();
        let usr = scratch.live().join("usr");
        assert_eq!(fs::read(usr.join("sbin/sh")).unwrap(), b"stage usr/sbin/sh");
        fs::remove_dir_all(&usr).unwrap();
        match replacement {
            "file" => fs::write(&usr, "f").unwrap(),
            "link" => symlink("opt", &usr).unwrap(),
            "directory" => fs::create_dir_all(usr.join("local/new")).unwrap(),
            _ => {}
        }
        finish(swap);
        let stage = scratch.stage_dump();
        let left: Vec<&str> = stage.keys().map(String::as_str).collect();
        let expected: &[&str] = match replacement {
            "nothing" => &[""],
            "directory" => &["", "usr", "usr/local", "usr/local/new"],
            _ => &["", "usr"],
        };
        assert_eq!(left, expected, "{replacement}");
        assert_eq!(scratch.live_dump(), live, "{replacement}");
    }
}

#[test]
fn an_entered_directory_comes_back_as_one_that_is_renamed_the_next_time() {
    let scratch = Scratch::new(&["usr/lib/a", "usr/bin/b", "work/c"], &["usr/x"]);
    let live = scratch.live_dump();
    let mut swap = scratch.begin(&[]);
    for name in ["usr", "work"] {
        swap.simulated.lower(&scratch.live().join(name));
    }
    swap.held = Held::Paths([PathBuf::from("work")].into());
    let inode = |name: &str| fs::metadata(scratch.live().join(name)).unwrap().ino();
    let work = inode("work");
    swap.swap_in().unwrap();
    assert_eq!(swap.strangers(), [Path::new("work")]);
    assert!(!scratch.live().join("usr/lib").exists());
    let simulated = std::mem::take(&mut swap.simulated);
    finish(swap);
    assert_eq!((scratch.live_dump(), inode("work")), (live, work));

    let mut swap = scratch.begin(&[]);
    swap.simulated = simulated;
    swap.held = Held::Paths([PathBuf::from("work")].into());
    swap.swap_in().unwrap();
    let entered: Vec<_> = swap.entered.keys().cloned().collect();
    assert_eq!(entered, [Path::new(""), Path::new("work")]);
    finish(swap);
}

#[test]
fn a_command_that_removes_what_a_link_was_turned_round_to_makes_the_link_a_directory() {
    for elsewhere in ["nothing", "directory"] {
        let scratch = Scratch::new(
            &["etc/hosts", "etc/passwd"],
            &["etc->usr/etc", "usr/etc/issue"],
        );
        let live = scratch.live_dump();
        let mut swap = scratch.begin(&["etc/hosts"]);
        swap.swap_in().unwrap();
        let usr = scratch.live().join("usr");
        fs::remove_dir_all(&usr).unwrap();
        if elsewhere == "directory" {
            fs::create_dir_all(usr.join("etc/own")).unwrap();
        }
        finish(swap);
        assert_eq!(scratch.live_dump(), live, "{elsewhere}");
        let stage = scratch.stage_dump();
        assert_eq!(stage["etc/issue"], "f stage usr/etc/issue", "{elsewhere}");
        assert_eq!(
            stage.contains_key("usr/etc/own"),
            elsewhere == "directory",
            "{stage:?}"
        );
    }
}

#[test]
fn a_directory_that_plays_the_part_of_a_link_may_be_removed_or_replaced() {
    for replaced in [false, true] {
        let scratch = Scratch::new(&["jobs/c"], &["jobs->srv/jobs", "srv/jobs/deep/x"]);
        let live = scratch.live_dump();
        let mut swap = scratch.begin(&[]);
        swap.simulated.lower(&scratch.live().join("jobs"));
        swap.held = Held::Everything;
        swap.swap_in().unwrap();
        let jobs = scratch.live().join("jobs");
        assert!(jobs.join("deep/x").exists());
        fs::remove_dir_all(&jobs).unwrap();
        if replaced {
            fs::write(&jobs, "f").unwrap();
        }
        finish(swap);
        assert_eq!(scratch.live_dump(), live);
        let stage = scratch.stage_dump();
        let jobs = stage.get("jobs").map(String::as_str);
        assert_eq!(jobs, replaced.then_some("f f"));
        assert_eq!(stage["srv/jobs"], "l /jobs");
    }
}

#[test]
fn what_the_stage_has_no_place_for_does_not_keep_the_container_from_coming_back() {
    let scratch = Scratch::new(LIVE, STAGE);
    let live = scratch.live_dump();
    let mut swap = scratch.begin(KEPT);
    swap.swap_in().unwrap();
    // Nothing else may write there; this stands for whatever is not thought of.
    fs::write(scratch.stage().join("bin"), "in the way").unwrap();
    undo(&mut swap).unwrap();
    assert_eq!(swap.misfit().unwrap().action, "move out");
    swap.journal.finish().unwrap();
    assert_eq!(scratch.live_dump(), live);
    let left: Vec<_> = fs::read_dir(area(&scratch.state())).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_file_where_the_container_must_keep_a_directory_is_an_error_and_all_is_put_back() {
    let scratch = Scratch::new(&["etc/hosts", "x"], &["a", "etc", "z"]);
    let (live, stage) = (scratch.live_dump(), scratch.stage_dump());
    let mut swap = scratch.begin(&["etc/hosts"]);
    let error = swap.swap_in().unwrap_err();
    assert!(
        matches!(error, RunError::Occupied { ref path, .. } if path == Path::new("etc")),
        "{error}"
    );
    finish(swap);
    assert_eq!(scratch.live_dump(), live);
    assert_eq!(without_times(scratch.stage_dump()), without_times(stage));
}

/// Runs swap and graft, cut off after `steps` journal lines, and gives whether that was before their end.
fn cut_off(scratch: &Scratch, spec: &RunSpec, steps: usize) -> bool {
    let mut swap = scratch.begin(KEPT);
    swap.journal.fail_after(steps);
    let mut grafts = Grafts::default();
    let done = swap
        .swap_in()
        .and_then(|()| grafts.put(&mut swap, spec, b"nameserver"));
    // What a killed process would leave: nothing of it is tidied up.
    std::mem::forget(grafts);
    done.is_err()
}

fn graft_spec(scratch: &Scratch) -> RunSpec {
    let mut spec = RunSpec::new(scratch.stage(), ["true"]);
    let sources = scratch.state().join("sources");
    fill(&sources, &["cache/old", "secret"], "source");
    spec.mounts = vec![
        mount(
            "/run/secrets/key",
            MountSource::File(sources.join("secret")),
        ),
        mount("/opt", MountSource::Directory(sources.join("cache"))),
        mount(
            "/opt/deep/tmp",
            MountSource::Tmpfs {
                size: None,
                mode: 0o1777,
            },
        ),
    ];
    spec
}

fn mount(target: &str, source: MountSource) -> Mount {
    Mount {
        target: PathBuf::from(target),
        source,
        read_only: false,
    }
}

/// Times are left out: a killed run does not restore those of the stage.
fn without_times(dump: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let shorten = |text: String| {
        if text.starts_with("d ") {
            text[..text.rfind(' ').unwrap()].to_owned()
        } else {
            text
        }
    };
    dump.into_iter()
        .map(|(path, text)| (path, shorten(text)))
        .collect()
}

#[test]
fn a_swap_cut_off_at_any_step_is_undone() {
    let mut steps = 0;
    loop {
        let scratch = Scratch::new(LIVE, STAGE);
        let (live, stage) = (scratch.live_dump(), scratch.stage_dump());
        let spec = graft_spec(&scratch);
        let sources = dump(&scratch.state().join("sources"));
        let cut = cut_off(&scratch, &spec, steps);
        if let Some(swap) = scratch.resume() {
            finish(swap);
        }
        assert_eq!(scratch.live_dump(), live, "after {steps} steps");
        assert_eq!(
            without_times(scratch.stage_dump()),
            without_times(stage),
            "after {steps} steps"
        );
        let sources_after = without_times(dump(&scratch.state().join("sources")));
        assert_eq!(sources_after, without_times(sources), "after {steps} steps");
        if !cut {
            break;
        }
        steps += 1;
    }
    assert!(steps > 15, "only {steps} steps were tried");
}

#[test]
fn a_restore_cut_off_at_any_rename_is_taken_up_again() {
    for cut in 0..40 {
        let scratch = Scratch::new(LIVE, STAGE);
        let (live, stage) = (scratch.live_dump(), scratch.stage_dump());
        let mut swap = scratch.begin(KEPT);
        swap.swap_in().unwrap();
        swap.simulated.stop_after(cut);
        let stopped = undo(&mut swap).is_err();
        drop(swap);
        if stopped {
            finish(scratch.resume().unwrap());
        }
        assert_eq!(scratch.live_dump(), live, "after {cut} renames");
        assert_eq!(
            without_times(scratch.stage_dump()),
            without_times(stage),
            "after {cut} renames"
        );
        if !stopped {
            assert!(cut > 10, "only {cut} renames were tried");
            return;
        }
    }
    panic!("the restore never came to its end");
}

#[test]
fn grafts_cover_and_give_back() {
    let scratch = Scratch::new(LIVE, STAGE);
    let (live, stage) = (scratch.live_dump(), scratch.stage_dump());
    let spec = graft_spec(&scratch);
    let mut swap = scratch.begin(KEPT);
    swap.swap_in().unwrap();
    let mut grafts = Grafts::default();
    grafts.put(&mut swap, &spec, b"nameserver").unwrap();
    let root = scratch.live();
    assert_eq!(
        fs::read_to_string(root.join("opt/old")).unwrap(),
        "source cache/old"
    );
    assert!(!root.join("opt/app").exists());
    assert_eq!(
        fs::read_to_string(root.join("etc/resolv.conf")).unwrap(),
        "nameserver"
    );
    assert_eq!(
        fs::metadata(root.join("opt/deep/tmp")).unwrap().mode() & 0o7777,
        0o1777
    );
    assert_eq!(
        fs::read_to_string(root.join("run/secrets/key")).unwrap(),
        "source secret"
    );
    fs::write(root.join("opt/new"), "cached").unwrap();
    fs::write(root.join("opt/deep/tmp/gone"), "").unwrap();
    graft::take_out(&swap, StubsKnown::ToGrafts).unwrap();
    grafts.remove_stubs().unwrap();
    finish(swap);
    assert_eq!(scratch.live_dump(), live);
    assert_eq!(without_times(scratch.stage_dump()), without_times(stage));
    let sources = dump(&scratch.state().join("sources"));
    assert_eq!(sources["cache/new"], "f cached");
    assert_eq!(sources["secret"], "f source secret");
}

#[test]
fn a_command_that_removes_what_was_grafted_harms_neither_side() {
    let scratch = Scratch::new(LIVE, STAGE);
    let live = scratch.live_dump();
    let spec = graft_spec(&scratch);
    let mut swap = scratch.begin(KEPT);
    swap.swap_in().unwrap();
    let mut grafts = Grafts::default();
    grafts.put(&mut swap, &spec, b"nameserver").unwrap();
    let root = scratch.live();
    fs::remove_file(root.join("run/secrets/key")).unwrap();
    symlink("/etc", root.join("run/secrets/key")).unwrap();
    fs::rename(root.join("opt"), root.join("moved")).unwrap();
    graft::take_out(&swap, StubsKnown::ToGrafts).unwrap();
    grafts.remove_stubs().unwrap();
    finish(swap);
    assert_eq!(scratch.live_dump(), live);
    assert!(scratch.stage_dump().contains_key("moved/old"));
}
