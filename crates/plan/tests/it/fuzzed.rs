//! The law of the fuzz target `dockerfile`, over the recorded Dockerfiles and random changes of them.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

#[expect(
    unreachable_pub,
    reason = "the fuzz targets' library has this file too"
)]
#[path = "../../../fuzz/src/dockerfile.rs"]
mod target;

/// Every file called `Dockerfile` below the recorded cases and the rejected ones.
fn corpus() -> Vec<Vec<u8>> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for folder in ["testkit/parity/cases", "dockerfile/tests/data/rejected"] {
        collect(&crates.join(folder), &mut found);
    }
    found.sort();
    assert!(found.len() > 500, "only {} files", found.len());
    found.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.file_name().is_some_and(|name| name == "Dockerfile") {
            found.push(path);
        }
    }
}

#[test]
fn recorded_and_rejected_files_keep_their_places_whole_and_cut_off() {
    for file in corpus() {
        target::check(&file);
        for end in (0..file.len().min(400)).step_by(13) {
            target::check(&file[..end]);
        }
    }
}

/// Pieces that mean something to one of the parsers.
const PIECES: [&str; 24] = [
    "\\\n",
    "\n",
    "\r\n",
    " ",
    "\t",
    "<<E",
    "<<-'E'",
    "E\n",
    "${",
    "}",
    ":-",
    "//",
    "\"",
    "'",
    "[",
    "]",
    "--",
    "=",
    "$",
    "FROM x AS y\n",
    "COPY --from=y a b\n",
    "# escape=`\n",
    "ONBUILD ",
    "\u{feff}\u{0}\u{a0}é",
];

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(PIECES.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ]
}

/// A file of the corpus in which something was put in place of something else, a few times.
fn changed() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), 0..9_usize, piece());
    let changes = prop::collection::vec(change, 1..6);
    (prop::sample::select(corpus()), changes).prop_map(|(mut file, changes)| {
        for (at, length, piece) in changes {
            let start = at.index(file.len() + 1);
            let end = (start + length).min(file.len());
            file.splice(start..end, piece);
        }
        file
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn changed_files_parse_and_plan_or_are_refused_at_a_place_they_have(file in changed()) {
        target::check(&file);
    }

    #[test]
    fn so_do_pieces_put_together_at_random(pieces in prop::collection::vec(piece(), 0..40)) {
        target::check(&pieces.concat());
    }
}
