//! The law of the fuzz target `archive`, over archives with random changes.

use std::io::Write as _;

use proptest::prelude::*;

#[expect(
    unreachable_pub,
    reason = "the fuzz targets' library has this file too"
)]
#[path = "../../fuzz/src/archive.rs"]
mod target;

/// One member of each kind, long names and attributes among them.
fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let attributes = [("SCHILY.xattr.security.capability", &b"\x01\x00\x00\x02"[..])];
    builder
        .append_pax_extensions(attributes)
        .expect("it is written to memory");
    let long = format!("{}/file", "long".repeat(40));
    let members = [
        ("directory/", tar::EntryType::Directory, ""),
        ("directory/file", tar::EntryType::Regular, "text"),
        ("link", tar::EntryType::Symlink, "../directory"),
        ("hard", tar::EntryType::Link, "directory/file"),
        (".wh.gone", tar::EntryType::Regular, ""),
        ("device", tar::EntryType::Char, ""),
        ("pipe", tar::EntryType::Fifo, ""),
        (&long, tar::EntryType::Regular, "more"),
    ];
    for (name, kind, text) in members {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        if matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link) {
            header.set_size(0);
            builder
                .append_link(&mut header, name, text)
                .expect("it is written to memory");
        } else {
            header.set_size(text.len() as u64);
            builder
                .append_data(&mut header, name, text.as_bytes())
                .expect("it is written to memory");
        }
    }
    builder.into_inner().expect("it is written to memory")
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("it is written to memory");
    encoder.finish().expect("it is written to memory")
}

#[test]
fn whole_and_cut_off_archives_stay_below_the_root() {
    for whole in [archive(), gzipped(&archive())] {
        target::check(&whole);
        for end in (0..whole.len()).step_by(61) {
            target::check(&whole[..end]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn so_do_archives_in_which_something_was_changed(
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..6)), 1..6),
        compressed in any::<bool>(),
    ) {
        let mut bytes = archive();
        for (at, piece) in changes {
            let start = at.index(bytes.len());
            let end = (start + piece.len()).min(bytes.len());
            bytes.splice(start..end, piece);
            rechecked(&mut bytes, start);
        }
        target::check(&if compressed { gzipped(&bytes) } else { bytes });
    }

    #[test]
    fn so_do_bytes_at_random(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        target::check(&bytes);
    }
}

/// Makes the checksum of the changed block right again, so that what is in it is read.
fn rechecked(bytes: &mut [u8], at: usize) {
    let start = at / 512 * 512;
    let Some(block) = bytes.get_mut(start..start + 512) else {
        return;
    };
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
