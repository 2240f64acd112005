//! The manual pages, as `man` shows them.

use std::process::Command;

use yadokari_testkit::{executor, needs, process, skip_unless};

#[test]
fn man_shows_every_page_without_a_warning() {
    skip_unless!(needs::program("man"), needs::program("groff"));
    let directory = tempfile::tempdir().unwrap();
    let mut write = Command::new(executor::path().unwrap());
    process::run(write.args(["man", "--directory"]).arg(directory.path())).unwrap();
    let mut pages = 0;
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        let mut man = Command::new("man");
        man.args(["--warnings", "--pager=cat", "--local-file"])
            .arg(&path)
            .env("LC_ALL", "C.UTF-8")
            .env("MANWIDTH", "80");
        let shown = process::output(&mut man).unwrap();
        let warnings = String::from_utf8_lossy(&shown.stderr);
        assert_eq!((shown.status.code(), &*warnings), (Some(0), ""), "{path:?}");
        let text = String::from_utf8_lossy(&shown.stdout);
        let name = path.file_stem().unwrap().to_str().unwrap();
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&format!("NAME {name} - ")), "{text}");
        assert!(words.contains("SYNOPSIS"), "{text}");
        pages += 1;
    }
    assert!(pages > 20, "{pages} pages");
}
