//! Archives that lie, and what each of them is refused for.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{self, Cursor, Read};

use yadokari_image::Digest;
use yadokari_layer::{Compression, LayerReader, Limits, ReadError, Verify, VerifyError, compress};
use yadokari_tree::{ApplyError, Tree, tree};

/// A header of the old kind, with any field overwritten before it is summed up.
fn header(name: &[u8], type_flag: u8, size: u64, change: impl FnOnce(&mut [u8; 512])) -> Vec<u8> {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0000644\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[156] = type_flag;
    block[257..265].copy_from_slice(b"ustar\x0000");
    change(&mut block);
    seal(&mut block);
    block.to_vec()
}

fn seal(block: &mut [u8; 512]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn member(name: &str, type_flag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = header(name.as_bytes(), type_flag, content.len() as u64, |_| {});
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn link(name: &str, type_flag: u8, target: &str) -> Vec<u8> {
    header(name.as_bytes(), type_flag, 0, |block| {
        block[157..157 + target.len()].copy_from_slice(target.as_bytes());
    })
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest..)
        .find(|length| length.to_string().len() + rest == *length)
        .unwrap();
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    [members.concat(), vec![0; 1024]].concat()
}

fn read_all(archive: &[u8], limits: Limits) -> Result<Vec<String>, ReadError> {
    let mut names = Vec::new();
    let mut layer = LayerReader::inline(archive, limits)?;
    while let Some((entry, content)) = layer.next_entry()? {
        names.push(entry.path().to_string());
        if let Err(error) = io::copy(content, &mut io::sink()) {
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
    layer.finish()?;
    Ok(names)
}

fn apply_all(tree: &mut Tree, archive: &[u8]) -> Result<(), ApplyError> {
    let mut layer = LayerReader::inline(archive, Limits::default()).unwrap();
    let lower = tree.clone();
    while let Some((entry, _)) = layer.next_entry().unwrap() {
        tree.apply_over(&lower, &entry)?;
    }
    Ok(())
}

#[test]
fn no_name_leaves_the_root() {
    let names = [
        "../../evil",
        "/abs",
        "./x",
        "a/../../b",
        "..",
        "/",
        "a//./c/",
    ];
    let members: Vec<_> = names.iter().map(|name| member(name, b'0', b"")).collect();
    let read = read_all(&archive(&members), Limits::default()).unwrap();
    assert_eq!(read, ["/evil", "/abs", "/x", "/b", "/", "/", "/a/c"]);
}

#[test]
fn links_lead_nowhere_outside() {
    let mut victim = tree("/etc/passwd 0644 root\n/out -> /../../etc\n/d/ 0755");
    let outside = archive(&[
        link("h", b'1', "../../../etc/passwd"),
        member("out/shadow", b'0', b"x"),
    ]);
    apply_all(&mut victim, &outside).unwrap();
    assert!(
        victim
            .get(&"/h".into())
            .unwrap()
            .same(victim.get(&"/etc/passwd".into()).unwrap())
    );
    assert!(victim.contains(&"/etc/shadow".into()));
    for (target, expected) in [
        ("/etc/group", "does not exist"),
        ("d", "is a directory"),
        ("/etc/passwd/x", "cannot reach"),
    ] {
        let error = apply_all(&mut victim, &archive(&[link("l", b'1', target)])).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn damaged_headers_are_named() {
    let number = |at: std::ops::Range<usize>, text: &'static [u8]| {
        header(b"f", b'0', 0, move |block| block[at].copy_from_slice(text))
    };
    let pax = |bytes: &[u8]| [member("p", b'x', bytes), member("f", b'0', b"")].concat();
    let mut flipped = member("f", b'0', b"");
    flipped[0] = b'g';
    for (what, bytes, expected) in [
        ("checksum", flipped, "no tar header at byte 0"),
        ("text", b"#!/bin/sh\n".repeat(60), "no tar header at byte 0"),
        (
            "after one empty block",
            [vec![0; 512], member("f", b'0', b"")].concat(),
            "no tar header at byte 512",
        ),
        ("mode", number(100..108, b"rw-r--r-"), "mode"),
        (
            "uid",
            number(108..116, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
            "uid",
        ),
        ("gid", number(116..124, b"\x80\0\0\x01\0\0\0\0"), "gid"),
        (
            "size",
            number(
                124..136,
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe",
            ),
            "size",
        ),
        (
            "mtime",
            number(
                136..148,
                b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            ),
            "mtime",
        ),
        (
            "device",
            header(b"d", b'3', 0, |block| {
                block[329..337].copy_from_slice(b"-000001\0");
            }),
            "device",
        ),
        ("records", pax(b"30 path=short\n"), "extended header"),
        ("negative size", pax(&record("size", b"-1")), "size"),
        (
            "huge size",
            pax(&record("size", b"9223372036854775808")),
            "size",
        ),
        ("negative uid", pax(&record("uid", b"-1")), "uid"),
        ("no time", pax(&record("mtime", b"yesterday")), "mtime"),
        ("NUL", pax(&record("path", b"a\0b")), "NUL"),
        ("symlink", link("s", b'2', ""), "without a target"),
        ("hard link", link("s", b'1', ""), "without a target"),
        ("volume", member("v", b'V', b""), "type `V`"),
        (
            "whiteout",
            member("d/.wh.", b'0', b""),
            "whiteout of nothing",
        ),
        (
            "whiteout of the parent",
            member("d/.wh...", b'0', b""),
            "whiteout of nothing",
        ),
    ] {
        let error = read_all(&archive(&[bytes]), Limits::default()).unwrap_err();
        assert!(error.to_string().contains(expected), "{what}: {error}");
    }
}

#[test]
fn every_limit_has_its_error() {
    let small = Limits {
        entries: 3,
        pax_bytes: 1024,
        name_length: 100,
        unpacked_bytes: 10_000,
    };
    let file = || member("f", b'0', b"");
    let many = archive(&[file(), file(), file(), file()]);
    assert!(matches!(
        read_all(&many, small),
        Err(ReadError::TooManyEntries { limit: 3 })
    ));
    let endless = archive(&[
        member("p", b'x', b""),
        member("p", b'x', b""),
        member("p", b'x', b""),
        file(),
    ]);
    assert!(matches!(
        read_all(&endless, small),
        Err(ReadError::TooManyEntries { limit: 3 })
    ));
    for type_flag in [b'x', b'g', b'L', b'K'] {
        let long = archive(&[header(b"p", type_flag, 1 << 32, |_| {})]);
        assert!(matches!(
            read_all(&long, small),
            Err(ReadError::HeaderTooLong { limit: 1024 })
        ));
    }
    for type_flag in [b'L', b'K'] {
        let long = archive(&[member("l", type_flag, &[b'a'; 101]), link("s", b'2', "t")]);
        assert!(matches!(
            read_all(&long, small),
            Err(ReadError::NameTooLong { limit: 100 })
        ));
    }
    let large = archive(&[header(b"f", b'0', 1 << 30, |_| {})]);
    assert!(matches!(
        read_all(&large, small),
        Err(ReadError::UnpackedTooLong { limit: 10_000 })
    ));
    let trailing = [archive(&[file()]), vec![0; 20_000]].concat();
    assert!(matches!(
        read_all(&trailing, small),
        Err(ReadError::UnpackedTooLong { limit: 10_000 })
    ));
}

#[test]
fn a_compression_bomb_stops_at_the_limit() {
    let limits = Limits {
        unpacked_bytes: 1 << 20,
        ..Limits::default()
    };
    for compression in [Compression::GZIP, Compression::ZSTD] {
        let mut bomb = Vec::new();
        compress(&mut io::repeat(0).take(64 << 20), compression, 1, &mut bomb).unwrap();
        let mut layer = LayerReader::new(Cursor::new(bomb), limits).unwrap();
        assert!(layer.next_entry().unwrap().is_none());
        assert!(matches!(
            layer.finish(),
            Err(ReadError::UnpackedTooLong { .. })
        ));
    }
}

#[test]
fn an_archive_cut_anywhere_is_an_error() {
    let pax = [
        member("p", b'x', &record("path", b"long")),
        member("f", b'0', &[b'x'; 700]),
    ]
    .concat();
    let whole = archive(&[member("a", b'0', b"content"), pax]);
    let boundaries = [0, 1024, 3584, 4096];
    for end in 0..whole.len() {
        let cut = read_all(&whole[..end], Limits::default());
        // Between members, and after one final block, an end is an end.
        let fine = boundaries.contains(&end);
        assert_eq!(cut.is_ok(), fine, "{end}: {cut:?}");
        assert!(
            fine || matches!(cut, Err(ReadError::Truncated)),
            "{end}: {cut:?}"
        );
    }
}

#[test]
fn a_compressed_stream_cut_anywhere_is_an_error() {
    let whole = archive(&[member("a", b'0', &b"some content".repeat(99))]);
    for compression in [Compression::GZIP, Compression::ZSTD] {
        let mut compressed = Vec::new();
        compress(&mut &whole[..], compression, 1, &mut compressed).unwrap();
        for end in 8..compressed.len() {
            let inline = read_all(&compressed[..end], Limits::default());
            assert!(inline.is_err(), "{compression:?} {end}");
            let layer =
                LayerReader::new(Cursor::new(compressed[..end].to_vec()), Limits::default());
            assert!(layer.unwrap().finish().is_err(), "{compression:?} {end}");
        }
    }
}

#[test]
fn a_wrong_digest_is_found_though_the_archive_ends_before() {
    let whole = archive(&[member("a", b'0', b"x")]);
    let mut compressed = Vec::new();
    let packed = compress(&mut &whole[..], Compression::GZIP, 1, &mut compressed).unwrap();
    let threaded = |bytes: &[u8], digest| {
        let verified = Verify::new(Cursor::new(bytes.to_vec()), digest, packed.size);
        LayerReader::new(verified, Limits::default())
            .unwrap()
            .finish()
    };
    let inline = |bytes: &[u8], digest| {
        LayerReader::inline(Verify::new(bytes, digest, packed.size), Limits::default())
            .unwrap()
            .finish()
    };
    assert_eq!(
        threaded(&compressed, packed.digest).unwrap(),
        packed.diff_id
    );
    assert_eq!(inline(&compressed, packed.digest).unwrap(), packed.diff_id);
    let longer = [&compressed[..], b"\0"].concat();
    for (bytes, digest) in [
        (&compressed, Digest::of(b"other")),
        (&longer, packed.digest),
    ] {
        for result in [threaded(bytes, digest), inline(bytes, digest)] {
            let Err(ReadError::Input { source }) = result else {
                panic!("accepted");
            };
            assert!(
                source
                    .get_ref()
                    .is_some_and(|inner| inner.is::<VerifyError>()),
                "{source:?}"
            );
        }
    }
}

#[test]
fn sparse_maps_must_add_up() {
    let map = |runs: &[(u64, u64)], size: u64, stored: u64| {
        let mut bytes = header(b"s", b'S', stored, |block| {
            block[257..265].copy_from_slice(b"ustar  \0");
            for (at, (offset, length)) in runs.iter().enumerate() {
                let pair = format!("{offset:011o}\0{length:011o}\0");
                block[386 + 24 * at..][..24].copy_from_slice(pair.as_bytes());
            }
            block[483..495].copy_from_slice(format!("{size:011o}\0").as_bytes());
        });
        bytes.resize(bytes.len() + (stored as usize).next_multiple_of(512), b'x');
        archive(&[bytes])
    };
    assert!(read_all(&map(&[(3, 4), (10, 2)], 20, 6), Limits::default()).is_ok());
    for (runs, size, stored) in [
        (&[(3, 4), (5, 2)][..], 20, 6),
        (&[(3, 4)], 5, 4),
        (&[(3, 4)], 20, 5),
        (&[(10, 2), (3, 4)], 20, 6),
    ] {
        let result = read_all(&map(runs, size, stored), Limits::default());
        assert!(
            matches!(result, Err(ReadError::BadSparseMap { .. })),
            "{runs:?}"
        );
    }
    let bomb = map(&[(0, 1)], 0o77777777777, 1);
    let limits = Limits {
        unpacked_bytes: 1 << 30,
        ..Limits::default()
    };
    assert!(matches!(
        read_all(&bomb, limits),
        Err(ReadError::UnpackedTooLong { .. })
    ));
}

#[test]
fn noise_never_panics() {
    let whole = archive(&[
        member("p", b'x', &record("path", b"some/name")),
        member("f", b'0', b"content"),
        link("l", b'2', "target"),
        header(b"s", b'S', 0, |block| block[482] = 1),
    ]);
    let mut state = 1_u32;
    for round in 0..20_000_usize {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mut noisy = whole.clone();
        let at = state as usize % noisy.len();
        noisy[at] = (state >> 24) as u8;
        let start = at / 512 * 512;
        if round % 2 == 0 {
            let block: &mut [u8; 512] = (&mut noisy[start..start + 512]).try_into().unwrap();
            seal(block);
        }
        let limits = Limits {
            unpacked_bytes: 1 << 20,
            ..Limits::default()
        };
        let _ = read_all(&noisy, limits);
    }
}
