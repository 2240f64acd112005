//! What a command may do to a root, as values.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, XattrFlags, lremovexattr, lsetxattr, mknodat};

/// A path of one to three names out of a few.
pub(crate) type Place = Vec<u8>;

/// One thing done to a root; what the kernel refuses counts as done.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Write(Place, u8, usize),
    /// In place, same size, modification time put back.
    EditUnseen(Place, u8),
    /// The same through memory.
    EditMapped(Place, u8),
    Truncate(Place, u16),
    /// A file that is mostly hole, so many MiB long, with its end written.
    Sparse(Place, u8),
    Chmod(Place, u32),
    Chown(Place, u32),
    Attribute(Place, u8),
    NoAttribute(Place),
    /// What `setcap` writes, and its going.
    Capability(Place, u8),
    NoCapability(Place),
    Touch(Place, u32),
    Mkdir(Place),
    Symlink(Place, Place),
    Link(Place, Place),
    /// A copy with the same metadata takes the file's place.
    Split(Place),
    /// Another name of the second file takes the first one's place.
    Join(Place, Place),
    Rename(Place, Place),
    Remove(Place),
    Special(Place, u8),
    Socket(Place),
    Deep(Place, u8),
    /// What lies so deep below a place goes, and comes back.
    RemoveDeep(Place, u8),
    RecreateDeep(Place, u8),
    /// A directory is moved aside, a link to it takes its place, and back.
    DirectoryToLink(Place),
    LinkToDirectory(Place),
    Recreate(Place),
}

pub(crate) fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    prop::collection::vec(deed(), 1..25)
}

fn deed() -> impl Strategy<Value = Deed> {
    let name = || 0..NAMES.len() as u8;
    // Short places are met again more often.
    let place = || {
        prop_oneof![
            3 => prop::collection::vec(name(), 1),
            3 => prop::collection::vec(name(), 2),
            1 => prop::collection::vec(name(), 3),
        ]
    };
    prop_oneof![
        4 => (place(), any::<u8>(), 0..5000_usize).prop_map(|(p, b, n)| Deed::Write(p, b, n)),
        4 => (place(), any::<u8>()).prop_map(|(p, b)| Deed::EditUnseen(p, b)),
        3 => (place(), any::<u8>()).prop_map(|(p, b)| Deed::EditMapped(p, b)),
        1 => (place(), any::<u16>()).prop_map(|(p, n)| Deed::Truncate(p, n)),
        1 => (place(), 1..4_u8).prop_map(|(p, n)| Deed::Sparse(p, n)),
        2 => (place(), 0..0o10000_u32).prop_map(|(p, m)| Deed::Chmod(p, m)),
        1 => (place(), 0..3_u32).prop_map(|(p, u)| Deed::Chown(p, u)),
        2 => (place(), any::<u8>()).prop_map(|(p, b)| Deed::Attribute(p, b)),
        1 => place().prop_map(Deed::NoAttribute),
        2 => (place(), any::<u8>()).prop_map(|(p, b)| Deed::Capability(p, b)),
        1 => place().prop_map(Deed::NoCapability),
        2 => (place(), any::<u32>()).prop_map(|(p, t)| Deed::Touch(p, t)),
        4 => place().prop_map(Deed::Mkdir),
        2 => (place(), place()).prop_map(|(p, q)| Deed::Symlink(p, q)),
        3 => (place(), place()).prop_map(|(p, q)| Deed::Link(p, q)),
        3 => place().prop_map(Deed::Split),
        2 => (place(), place()).prop_map(|(p, q)| Deed::Join(p, q)),
        3 => (place(), place()).prop_map(|(p, q)| Deed::Rename(p, q)),
        2 => place().prop_map(Deed::Remove),
        1 => (place(), 0..3_u8).prop_map(|(p, k)| Deed::Special(p, k)),
        1 => place().prop_map(Deed::Socket),
        1 => (place(), 90..110_u8).prop_map(|(p, n)| Deed::Deep(p, n)),
        1 => (place(), 0..110_u8).prop_map(|(p, n)| Deed::RemoveDeep(p, n)),
        1 => (place(), 0..110_u8).prop_map(|(p, n)| Deed::RecreateDeep(p, n)),
        1 => place().prop_map(Deed::DirectoryToLink),
        1 => place().prop_map(Deed::LinkToDirectory),
        1 => place().prop_map(Deed::Recreate),
    ]
}

/// Does all of it below `top`.
pub(crate) fn perform(top: &Path, deeds: &[Deed]) {
    for deed in deeds {
        // Many deeds make no sense where they fall; the others do enough.
        let _ = perform_one(top, deed);
    }
}

fn perform_one(top: &Path, deed: &Deed) -> io::Result<()> {
    let at = |place: &Place| located(top, place);
    match deed {
        Deed::Write(place, byte, size) => fs::write(at(place)?, vec![*byte; *size]),
        Deed::EditUnseen(place, byte) => edit_unseen(&at(place)?, *byte),
        Deed::EditMapped(place, byte) => edit_mapped(&at(place)?, *byte),
        Deed::Sparse(place, size) => sparse(&at(place)?, *size),
        Deed::NoAttribute(place) => Ok(lremovexattr(at(place)?, NOTE)?),
        Deed::Capability(place, bits) => set_attribute(&at(place)?, CAPABILITY, &capability(*bits)),
        Deed::NoCapability(place) => Ok(lremovexattr(at(place)?, CAPABILITY)?),
        Deed::Join(place, target) => join(&at(place)?, &at(target)?),
        Deed::RemoveDeep(place, depth) => remove(&deeper(at(place)?, *depth)),
        Deed::RecreateDeep(place, depth) => recreate(&deeper(at(place)?, *depth)),
        Deed::Truncate(place, size) => {
            let file = OpenOptions::new().write(true).open(at(place)?)?;
            file.set_len((*size).into())
        }
        Deed::Chmod(place, mode) => {
            fs::set_permissions(at(place)?, fs::Permissions::from_mode(*mode))
        }
        Deed::Chown(place, id) => lchown(at(place)?, Some(*id), Some(*id)),
        Deed::Attribute(place, byte) => set_attribute(&at(place)?, NOTE, &[*byte]),
        Deed::Touch(place, seconds) => {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs((*seconds).into());
            File::open(at(place)?)?.set_times(FileTimes::new().set_modified(time))
        }
        Deed::Mkdir(place) => fs::create_dir(at(place)?),
        Deed::Symlink(place, target) => symlink(relative(target), at(place)?),
        Deed::Link(place, target) => fs::hard_link(at(target)?, at(place)?),
        Deed::Split(place) => split(&at(place)?),
        Deed::Rename(from, to) => fs::rename(top.join(relative(from)), at(to)?),
        Deed::Remove(place) => remove(&top.join(relative(place))),
        Deed::Special(place, kind) => special(&at(place)?, *kind),
        Deed::Socket(place) => UnixListener::bind(at(place)?).map(drop),
        Deed::Deep(place, depth) => deep(at(place)?, *depth),
        Deed::DirectoryToLink(place) => {
            let path = at(place)?;
            fs::read_dir(&path)?;
            fs::rename(&path, top.join("aside"))?;
            symlink("aside", path)
        }
        Deed::LinkToDirectory(place) => {
            let path = top.join(relative(place));
            fs::read_link(&path)?;
            fs::remove_file(&path)?;
            fs::rename(top.join("aside"), path)
        }
        Deed::Recreate(place) => recreate(&at(place)?),
    }
}

/// Only real directories on the way: a command that follows a link changes
/// something that another deed names as well.
fn located(top: &Path, place: &Place) -> io::Result<PathBuf> {
    let mut path = top.to_path_buf();
    for name in &place[..place.len() - 1] {
        path.push(name_of(*name));
        if !fs::symlink_metadata(&path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
    }
    path.push(name_of(place[place.len() - 1]));
    let found = fs::symlink_metadata(&path).map(|found| found.file_type());
    match found {
        // Opening one of these waits for somebody at the other end, or works
        // on a device; opening a link works on another place.
        Ok(found) if !found.is_dir() && !found.is_file() => Err(io::ErrorKind::Unsupported.into()),
        _ => Ok(path),
    }
}

fn relative(place: &Place) -> PathBuf {
    place.iter().map(|name| name_of(*name)).collect()
}

fn name_of(index: u8) -> &'static std::ffi::OsStr {
    std::ffi::OsStr::from_bytes(NAMES[usize::from(index) % NAMES.len()])
}

fn edit_unseen(path: &Path, byte: u8) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(());
    }
    let file = OpenOptions::new().write(true).open(path)?;
    file.write_at(&[byte], metadata.len() / 2)?;
    file.set_times(FileTimes::new().set_modified(metadata.modified()?))
}

fn set_attribute(path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
    Ok(lsetxattr(path, name, value, XattrFlags::empty())?)
}

/// `struct vfs_cap_data` of the second revision: permitted and effective.
fn capability(bits: u8) -> Vec<u8> {
    let words = [0x0200_0001, u32::from(bits), 0, 0, 0_u32];
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// Changes a byte in the middle through a shared mapping, and puts the time back.
fn edit_mapped(path: &Path, byte: u8) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(());
    }
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = metadata.len() as usize;
    write_mapped(&file, length, length / 2, byte)?;
    file.set_times(FileTimes::new().set_modified(metadata.modified()?))
}

#[expect(
    unsafe_code,
    reason = "a mapping is memory that the compiler knows nothing of"
)]
fn write_mapped(file: &File, length: usize, at: usize, byte: u8) -> io::Result<()> {
    use rustix::mm::{MapFlags, MsyncFlags, ProtFlags, mmap, msync, munmap};
    let (rights, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
    // SAFETY: the mapping is new, `at` is below its length, nobody else has the
    // file open, and nothing points into it once it is unmapped.
    unsafe {
        let start = mmap(std::ptr::null_mut(), length, rights, flags, file, 0)?;
        start.cast::<u8>().add(at).write(byte);
        msync(start, length, MsyncFlags::SYNC)?;
        Ok(munmap(start, length)?)
    }
}

fn sparse(path: &Path, size: u8) -> io::Result<()> {
    let file = File::create(path)?;
    file.write_at(b"end", u64::from(size) << 20).map(drop)
}

fn join(path: &Path, target: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(());
    }
    let name = path.with_file_name("name in the making");
    fs::hard_link(target, &name)?;
    fs::rename(&name, path)?;
    // Two names of one file are left both.
    drop(fs::remove_file(&name));
    Ok(())
}

fn deeper(mut path: PathBuf, depth: u8) -> PathBuf {
    path.extend((0..depth).map(|_| "down"));
    path
}

fn split(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() {
        return Ok(());
    }
    let copy = path.with_file_name("copy in the making");
    fs::copy(path, &copy)?;
    lchown(&copy, Some(metadata.uid()), Some(metadata.gid()))?;
    fs::set_permissions(&copy, metadata.permissions())?;
    let times = FileTimes::new().set_modified(metadata.modified()?);
    OpenOptions::new()
        .write(true)
        .open(&copy)?
        .set_times(times)?;
    fs::rename(copy, path)
}

fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

fn recreate(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)?;
        // Names that may have been there, and one that was not.
        fs::create_dir_all(path.join(name_of(0)).join(name_of(1)))?;
        fs::create_dir_all(path.join("fresh"))?;
        return fs::write(path.join("fresh/file"), "x");
    }
    let bytes = fs::read(path)?;
    fs::remove_file(path)?;
    fs::write(path, bytes)
}

fn special(path: &Path, kind: u8) -> io::Result<()> {
    let (kind, device) = match kind {
        0 => (FileType::Fifo, 0),
        1 => (FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
        _ => (FileType::BlockDevice, rustix::fs::makedev(7, 200)),
    };
    Ok(mknodat(CWD, path, kind, Mode::RUSR, device)?)
}

fn deep(mut path: PathBuf, depth: u8) -> io::Result<()> {
    for _ in 0..depth {
        fs::create_dir(&path)?;
        path.push("down");
    }
    fs::write(path, "deep")
}

/// The extended attributes that deeds give and take.
const NOTE: &str = "user.note";
pub(crate) const CAPABILITY: &str = "security.capability";

const NAMES: [&[u8]; 4] = [b"a", b"b", b"new\nline", b"\xff\xfe bytes"];
