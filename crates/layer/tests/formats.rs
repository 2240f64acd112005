//! Archives as other tools write them.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{Cursor, Read};

use yadokari_layer::{ArchiveKind, LayerReader, Limits};
use yadokari_tree::{Entry, Tree};

/// Applies an archive to an empty tree, content included.
fn unpacked(archive: &[u8]) -> String {
    let mut tree = Tree::empty();
    let mut layer = LayerReader::new(Cursor::new(archive.to_vec()), Limits::default()).unwrap();
    while let Some((entry, content)) = layer.next_entry().unwrap() {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).unwrap();
        let applied = tree.apply(&entry).unwrap();
        if let Some(content) = applied.node.as_ref().and_then(|node| node.content())
            && !matches!(
                entry,
                Entry::Put {
                    kind: yadokari_tree::EntryKind::HardLink(_),
                    ..
                }
            )
        {
            content.set_digest(yadokari_tree::ContentDigest::of(&bytes));
            assert_eq!(bytes.len() as u64, content.size);
        }
    }
    layer.finish().unwrap();
    tree.to_string()
}

fn same(archive: &[u8], text: &str) {
    assert_eq!(unpacked(archive), yadokari_tree::tree(text).to_string());
}

fn gnu(path: &str, content: &[u8], change: impl FnOnce(&mut tar::Header)) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    change(&mut header);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, path, content).unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn gnu_long_names_and_base_256_numbers() {
    let long = "n".repeat(150);
    let archive = gnu(&format!("d/{long}"), b"hi", |header| {
        header.set_uid(3_000_000);
        header.set_mtime(1 << 40);
    });
    same(
        &archive,
        &format!("/d/{long} 0644 3000000:0 @{} hi", 1_u64 << 40),
    );
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    header.set_mode(0o777);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_link(&mut header, "l", &long).unwrap();
    same(&builder.into_inner().unwrap(), &format!("/l -> {long}"));
}

#[test]
fn pax_records_override_the_header() {
    let mut builder = tar::Builder::new(Vec::new());
    let records: [(&str, &[u8]); 6] = [
        ("path", "ü/name".as_bytes()),
        ("mtime", b"-1.25"),
        ("uid", b"7"),
        ("gid", b""),
        ("SCHILY.xattr.security.capability", b"\x01\0\n="),
        ("SCHILY.xattr.user.x", b"y"),
    ];
    builder.append_pax_extensions(records).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(2);
    header.set_mode(0o4755);
    header.set_gid(9);
    builder
        .append_data(&mut header, "other", &b"hi"[..])
        .unwrap();
    let archive = builder.into_inner().unwrap();
    same(
        &archive,
        "/ü/name 4755 7:9 @-2.750000000 +security.capability=01000a3d +user.x=79 hi",
    );
}

#[test]
fn the_pax_size_counts_and_not_the_header() {
    let mut builder = tar::Builder::new(Vec::new());
    builder
        .append_pax_extensions([("size", &b"600"[..])])
        .unwrap();
    let mut archive = builder.get_ref().clone();
    let one = gnu("f", b"", |_| {});
    archive.extend_from_slice(&one[..512]);
    archive.extend_from_slice(&[b'x'; 600]);
    archive.resize(archive.len() + 424, 0);
    archive.extend_from_slice(&gnu("g", b"next", |_| {}));
    same(
        &archive,
        &format!("/f 0644 {}\n/g 0644 next", "x".repeat(600)),
    );
}

#[test]
fn old_headers_have_no_prefix_and_directories_by_their_slash() {
    let mut header = tar::Header::new_old();
    header.set_mode(0o700);
    header.set_size(0);
    header.as_mut_bytes()[..4].copy_from_slice(b"dir/");
    header.as_mut_bytes()[156] = 0;
    header.as_mut_bytes()[400] = b'x';
    header.set_cksum();
    same(header.as_bytes(), "/dir/ 0700");
}

#[test]
fn devices_pipes_links_and_whiteouts() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, link: &str| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o600);
        header.set_device_major(10).unwrap();
        header.set_device_minor(1_048_575).unwrap();
        if link.is_empty() {
            builder
                .append_data(&mut header, path, std::io::empty())
                .unwrap();
        } else {
            builder.append_link(&mut header, path, link).unwrap();
        }
    };
    add("f", tar::EntryType::Regular, "");
    add("c", tar::EntryType::Char, "");
    add("b", tar::EntryType::Block, "");
    add("p", tar::EntryType::Fifo, "");
    add("h", tar::EntryType::Link, "f");
    add("gone", tar::EntryType::Regular, "");
    add(".wh.gone", tar::EntryType::Regular, "");
    add(".wh..wh.aufs", tar::EntryType::Regular, "");
    add(".wh..wh.plnk/1.2", tar::EntryType::Regular, "");
    let archive = builder.into_inner().unwrap();
    let text =
        "/b 0600 <block 10:1048575>\n/c 0600 <char 10:1048575>\n/f 0600\n/h => /f\n/p 0600 <fifo>";
    same(
        &archive,
        &text.replace(
            "/f 0600\n",
            "/f 0600 <file 0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855>\n",
        ),
    );
}

#[test]
fn whiteouts_may_be_plain_files_where_the_archive_is_no_layer() {
    let archive = gnu("d/.wh.x", b"", |_| {});
    let mut layer = LayerReader::inline(&archive[..], Limits::default())
        .unwrap()
        .with_whiteouts_as_files();
    let path = layer.next_entry().unwrap().unwrap().0.path().to_string();
    assert_eq!(path, "/d/.wh.x");
    let mut layer = LayerReader::inline(&archive[..], Limits::default()).unwrap();
    assert!(
        matches!(layer.next_entry().unwrap(), Some((Entry::Whiteout { path }, _)) if path == "/d/x".into())
    );
    let archive = gnu("d/.wh..wh..opq", b"", |_| {});
    let mut layer = LayerReader::inline(&archive[..], Limits::default()).unwrap();
    assert!(
        matches!(layer.next_entry().unwrap(), Some((Entry::Opaque { directory }, _)) if directory == "/d".into())
    );
}

#[test]
fn names_are_bytes() {
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    header.set_mode(0o644);
    header.as_mut_bytes()[..4].copy_from_slice(b"a\n\xff ");
    header.set_cksum();
    same(
        header.as_bytes(),
        r"/a\x0a\xff\x20 0644 <file 0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855>",
    );
}

fn sparse_1_0() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let records = [
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "s"),
        ("GNU.sparse.realsize", "12"),
    ];
    builder
        .append_pax_extensions(records.map(|(key, value)| (key, value.as_bytes())))
        .unwrap();
    let mut content = b"2\n1\n2\n5\n3\n".to_vec();
    content.resize(512, 0);
    content.extend_from_slice(b"abcde");
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder
        .append_data(&mut header, "GNUSparseFile.0/s", &content[..])
        .unwrap();
    builder.into_inner().unwrap()
}

fn sparse_0_1() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let records = [
        ("GNU.sparse.map", "1,2,5,3"),
        ("GNU.sparse.name", "s"),
        ("GNU.sparse.size", "12"),
    ];
    builder
        .append_pax_extensions(records.map(|(key, value)| (key, value.as_bytes())))
        .unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(5);
    header.set_mode(0o644);
    builder
        .append_data(&mut header, "x/s", &b"abcde"[..])
        .unwrap();
    builder.into_inner().unwrap()
}

/// Five runs, so that one is in a block of its own after the header.
fn sparse_old() -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("s").unwrap();
    header.set_mode(0o644);
    header.set_size(5);
    let run = |offset: u64| format!("{offset:011o}\0{:011o}\0", 1);
    let block = header.as_mut_bytes();
    block[156] = b'S';
    for (at, offset) in [1, 2, 5, 6].into_iter().enumerate() {
        block[386 + 24 * at..][..24].copy_from_slice(run(offset).as_bytes());
    }
    block[482] = 1;
    block[483..495].copy_from_slice(format!("{:011o}\0", 12).as_bytes());
    header.set_cksum();
    let mut more = [0; 512];
    more[..24].copy_from_slice(run(7).as_bytes());
    let mut content = b"abcde".to_vec();
    content.resize(512, 0);
    [
        header.as_bytes(),
        &more[..],
        &content,
        &gnu("z", b"after", |_| {}),
    ]
    .concat()
}

#[test]
fn holes_of_sparse_files_are_zeros() {
    let mut layer_bytes = Vec::new();
    for archive in [sparse_old(), sparse_0_1(), sparse_1_0()] {
        let mut layer = LayerReader::inline(&archive[..], Limits::default()).unwrap();
        let (entry, content) = layer.next_entry().unwrap().unwrap();
        assert_eq!(entry.path(), &"/s".into());
        layer_bytes.clear();
        content.read_to_end(&mut layer_bytes).unwrap();
        assert_eq!(layer_bytes, b"\0ab\0\0cde\0\0\0\0");
    }
    let archive = sparse_old();
    let mut layer = LayerReader::inline(&archive[..], Limits::default()).unwrap();
    layer.next_entry().unwrap();
    assert_eq!(layer.next_entry().unwrap().unwrap().0.path(), &"/z".into());
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::read::GzEncoder::new(bytes, flate2::Compression::fast());
    let mut all = Vec::new();
    out.read_to_end(&mut all).unwrap();
    all
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    bzip2::read::BzEncoder::new(bytes, bzip2::Compression::fast())
        .read_to_end(&mut all)
        .unwrap();
    all
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    xz2::read::XzEncoder::new(bytes, 1)
        .read_to_end(&mut all)
        .unwrap();
    all
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

type Pack = fn(&[u8]) -> Vec<u8>;

const KINDS: [(ArchiveKind, Pack); 5] = [
    (ArchiveKind::Tar, <[u8]>::to_vec),
    (ArchiveKind::Gzip, gzip),
    (ArchiveKind::Bzip2, bzip2),
    (ArchiveKind::Xz, xz),
    (ArchiveKind::Zstd, zstd),
];

#[test]
fn every_compression_in_one_piece_or_several() {
    let archive = gnu("f", &b"content ".repeat(1000), |_| {});
    let (first, second) = archive.split_at(4321);
    for (kind, pack) in KINDS {
        let plain = unpacked(&archive);
        assert_eq!(unpacked(&pack(&archive)), plain, "{kind:?}");
        assert_eq!(
            unpacked(&[pack(first), pack(second)].concat()),
            plain,
            "{kind:?}"
        );
    }
}

#[test]
fn archives_are_told_by_their_content() {
    let archive = gnu("f", b"x", |_| {});
    for (kind, pack) in KINDS {
        assert_eq!(ArchiveKind::sniff(&pack(&archive)[..]).unwrap(), Some(kind));
        for other in [
            &b""[..],
            b"text",
            &[0; 10_240],
            &b"PK\x03\x04 zip".repeat(99),
        ] {
            assert_eq!(
                ArchiveKind::sniff(&pack(other)[..]).unwrap(),
                None,
                "{kind:?} {}",
                other.len()
            );
        }
    }
    let damaged = &gzip(&archive)[..20];
    assert_eq!(ArchiveKind::sniff(damaged).unwrap(), None);
}

#[test]
fn a_file_that_cannot_be_read_is_no_answer() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::PermissionDenied.into())
        }
    }
    assert!(ArchiveKind::sniff(Broken).is_err());
    assert!(ArchiveKind::sniff((&gnu("f", b"x", |_| {})[..100]).chain(Broken)).is_err());
}
