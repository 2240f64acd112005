//! Times scans of a directory: `timing DIRECTORY [THREADS]`.
#![expect(clippy::print_stdout, reason = "figures are what this is for")]

use std::time::Instant;

use yadokari_rootfs::{Root, ScanOptions, Snapshot, scan};
use yadokari_tree::diff;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let root = Root::open(arguments.next().ok_or("which directory?")?)?;
    let threads = arguments.next().map_or(Ok(2), |threads| threads.parse())?;
    let options = ScanOptions {
        threads,
        ..ScanOptions::default()
    };
    let first = timed("first scan", || scan(&root, None, &options))?;
    println!("{} entries", first.tree().len());
    let mut snapshot = timed("known tree", || {
        Snapshot::take(&root, first.tree(), &options)
    })?;
    drop(first);
    for _ in 0..5 {
        let next = timed("next scan", || scan(&root, Some(&snapshot), &options))?;
        let changes = timed("difference", || diff(snapshot.tree(), next.tree()));
        println!("{} changes", changes.len());
        snapshot = next;
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    for line in status.lines().filter(|line| line.starts_with("VmHWM")) {
        println!("{line}");
    }
    Ok(())
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    println!("{what}: {:.1} ms", start.elapsed().as_secs_f64() * 1000.0);
    done
}
