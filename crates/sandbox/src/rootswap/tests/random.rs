//! Random roots, random commands: the container is as it was, and the stage holds what the command left.

use super::*;
use crate::rootswap::held::Held;

/// A small generator, so that a failing seed can be run again.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        (!from.is_empty()).then(|| &from[self.below(from.len())])
    }

    /// A path of few names, so that two roots have many in common.
    fn path(&mut self) -> PathBuf {
        let depth = 1 + self.below(4);
        (0..depth).map(|_| ["a", "b", "c"][self.below(3)]).collect()
    }

    fn tree(&mut self, root: &Path, owner: &str) {
        for _ in 0..self.below(12) {
            let path = root.join(self.path());
            if fs::create_dir_all(path.parent().unwrap()).is_err() {
                continue;
            }
            // What exists already stays.
            match self.below(4) {
                0 => drop(symlink("nowhere", &path)),
                1 if fs::symlink_metadata(&path).is_err() => fs::write(&path, owner).unwrap(),
                _ => drop(fs::create_dir(&path)),
            }
            if is_real_directory(&path) {
                let mode = [0o755, 0o700, 0o1777, 0][self.below(4)];
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
    }
}

fn is_real_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Everything below `root` but the state directory, relative to it.
fn everything(root: &Path) -> Vec<PathBuf> {
    let paths = dump(root).into_keys().map(PathBuf::from);
    paths
        .filter(|path| !path.as_os_str().is_empty() && !path.starts_with(".state"))
        .collect()
}

/// Does to the live root what a command could do to it, mounts and lower layers minded.
fn work(swap: &Swap, dice: &mut Dice) {
    for _ in 0..1 + dice.below(8) {
        let paths = everything(&swap.live);
        let fresh = dice.path();
        let chosen = dice.pick(&paths).cloned().unwrap_or_else(|| fresh.clone());
        if swap.kept.covers(&chosen) || swap.kept.covers(&fresh) {
            // What is written into a mount stays there.
            continue;
        }
        let target = swap.live.join(&chosen);
        match dice.below(9) {
            0 => drop(clear(swap, &chosen)),
            1 if clear(swap, &chosen) => drop(fs::write(&target, "command's")),
            2 if clear(swap, &chosen) => drop(symlink("no/where", &target)),
            3 if clear(swap, &chosen) => {
                drop(fs::create_dir_all(target.join(dice.path())));
            }
            4 if is_real_directory(&target) => {
                let mode = [0o755, 0o511, 0, 0o2775][dice.below(4)];
                fs::set_permissions(&target, fs::Permissions::from_mode(mode)).unwrap();
            }
            5 | 6 => shift(swap, &chosen, &fresh),
            7 => drop(fs::create_dir_all(swap.live.join(&fresh))),
            _ if is_real_directory(&target) => drop(fs::write(target.join("new"), "command's")),
            _ => {}
        }
    }
}

/// `rm -rf`, which fails where something below stays.
fn clear(swap: &Swap, path: &Path) -> bool {
    let target = swap.live.join(path);
    if swap.kept.disposition(path) != Disposition::Move || path.as_os_str().is_empty() {
        return false;
    }
    if is_real_directory(&target) {
        fs::remove_dir_all(&target).unwrap();
        swap.simulated.forget(&target);
    } else {
        drop(fs::remove_file(&target));
    }
    true
}

/// `mv`, which copies what cannot be renamed.
fn shift(swap: &Swap, from: &Path, to: &Path) {
    let (old, new) = (swap.live.join(from), swap.live.join(to));
    let apart = !from.starts_with(to) && !to.starts_with(from);
    let moves = swap.kept.disposition(from) == Disposition::Move;
    if !apart || !moves || !is_real_directory(new.parent().unwrap()) || !clear(swap, to) {
        return;
    }
    let below = dump_if_any(&old);
    if below
        .iter()
        .any(|path| swap.simulated.refuses(&join(&old, path)))
    {
        let done = std::process::Command::new("cp")
            .arg("-a")
            .args([&old, &new])
            .status();
        assert!(done.unwrap().success());
        fs::remove_dir_all(&old).unwrap();
        swap.simulated.forget(&old);
    } else {
        drop(fs::rename(&old, &new));
    }
}

fn dump_if_any(path: &Path) -> Vec<PathBuf> {
    if is_real_directory(path) {
        dump(path).into_keys().map(PathBuf::from).collect()
    } else {
        Vec::new()
    }
}

fn join(base: &Path, path: &Path) -> PathBuf {
    crate::rootswap::swap::join(base, path)
}

/// What the command left, as the stage must hold it.
fn expected(
    swap: &Swap,
    scratch: &Scratch,
    stage: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut seen = scratch.live_dump();
    seen.retain(|path, _| !swap.kept.covers(Path::new(path)));
    // Directories of the container that nobody worked on are not the stage's.
    for path in swap.entered.keys().rev() {
        let name = path.display().to_string();
        let nothing_inside = !seen
            .keys()
            .any(|other| other != &name && Path::new(other).starts_with(path));
        let untouched = seen.get(&name).is_some_and(|text| {
            let mode = format!("d {:o} ", swap.entered[path].attributes.mode());
            text.starts_with(&mode)
        });
        if nothing_inside && untouched && !stage.contains_key(&name) {
            seen.remove(&name);
        }
    }
    // What the stage has in the place of something that stays is hidden and comes through.
    let hidden = stage
        .iter()
        .filter(|(path, _)| swap.kept.covers(Path::new(path)));
    seen.extend(hidden.map(|(path, text)| (path.clone(), text.clone())));
    seen
}

/// Lets a seed decide on roots, on what stays, on where it is cut off, and on the command.
fn play(seed: u64) -> Vec<&'static str> {
    let mut dice = Dice::new(seed);
    let scratch = Scratch::new(&[], &[]);
    dice.tree(&scratch.live(), "live");
    dice.tree(&scratch.stage(), "stage");
    let mut directories = everything(&scratch.live());
    let kept: Vec<String> = (0..dice.below(3))
        .filter_map(|_| {
            dice.pick(&directories)
                .map(|path| path.display().to_string())
        })
        .collect();
    directories.retain(|path| is_real_directory(&scratch.live().join(path)));
    let mut simulated = crate::rootswap::swap::simulated::Simulated::default();
    if !dice.one_in(4) {
        for path in everything(&scratch.live())
            .iter()
            .filter(|path| path.parent() == Some(Path::new("")))
        {
            simulated.lower(&scratch.live().join(path));
        }
    }
    let mut outcomes = Vec::new();
    for _ in 0..3 {
        let kept: Vec<&str> = kept.iter().map(String::as_str).collect();
        let mut swap = scratch.begin(&kept);
        swap.simulated = simulated;
        swap.held = if dice.one_in(5) {
            Held::Everything
        } else {
            Held::Paths(
                (0..dice.below(3))
                    .filter_map(|_| dice.pick(&directories).cloned())
                    .collect(),
            )
        };
        let outcome = round(&scratch, &mut swap, &mut dice, seed);
        simulated = std::mem::take(&mut swap.simulated);
        outcomes.push(outcome);
    }
    outcomes
}

/// One swap and the way back.
fn round(scratch: &Scratch, swap: &mut Swap, dice: &mut Dice, seed: u64) -> &'static str {
    let (live, stage) = (scratch.live_dump(), scratch.stage_dump());
    let inodes = inodes(scratch, &swap.held);
    if dice.one_in(4) {
        swap.journal.fail_after(dice.below(12));
    }
    let undone = swap.swap_in().is_err();
    let outcome = if undone {
        take_up_again(scratch, swap);
        assert_eq!(
            without_times(scratch.stage_dump()),
            without_times(stage),
            "stage, seed {seed}"
        );
        "undone"
    } else {
        work(swap, dice);
        let wanted = expected(swap, scratch, &stage);
        if dice.one_in(2) {
            swap.simulated.stop_after(dice.below(10));
        }
        if undo(swap).is_ok() {
            assert_eq!(scratch.stage_dump(), wanted, "stage, seed {seed}");
            "swapped"
        } else {
            take_up_again(scratch, swap);
            assert_eq!(
                without_times(scratch.stage_dump()),
                without_times(wanted),
                "stage, seed {seed}"
            );
            "taken up again"
        }
    };
    swap.simulated.go_on();
    swap.journal.finish().unwrap();
    assert_eq!(swap.misfit(), None, "seed {seed}");
    assert_eq!(scratch.live_dump(), live, "live, seed {seed}");
    for (path, inode) in inodes.into_iter().filter(|_| undone) {
        let now = fs::metadata(scratch.live().join(&path)).unwrap().ino();
        assert_eq!(now, inode, "{path:?}, seed {seed}");
    }
    outcome
}

/// Undoes the swap as the next start does it after a kill.
fn take_up_again(scratch: &Scratch, swap: &mut Swap) {
    let simulated = std::mem::take(&mut swap.simulated);
    simulated.go_on();
    *swap = scratch.resume().unwrap();
    swap.simulated = simulated;
    undo(swap).unwrap();
}

/// Directories in use, which must not be made anew unless the command does.
fn inodes(scratch: &Scratch, held: &Held) -> Vec<(PathBuf, u64)> {
    let Held::Paths(paths) = held else {
        return Vec::new();
    };
    let numbered = paths.iter().map(|path| {
        let inode = fs::metadata(scratch.live().join(path)).unwrap().ino();
        (path.clone(), inode)
    });
    numbered.collect()
}

#[test]
fn whatever_a_command_does_both_sides_are_right_afterwards() {
    let mut outcomes: BTreeMap<&str, u32> = BTreeMap::new();
    let only = option_env!("SWAP_SEED").and_then(|seed| seed.parse().ok());
    let seeds = only.map_or(0..SEEDS, |seed| seed..seed + 1);
    for seed in seeds {
        for outcome in play(seed) {
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
    assert!(only.is_some() || outcomes.len() == 3, "{outcomes:?}");
}

/// Each is three swaps.
const SEEDS: u64 = 120;
