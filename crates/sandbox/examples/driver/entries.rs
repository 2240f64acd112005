//! Makes entries of a directory by calls that shells do not make.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, RenameFlags, ResolveFlags};

/// Gives a line for each kind of call.
pub(crate) fn everything(directory: &Path) -> String {
    let results = [
        (
            "openat2",
            by_openat2(directory).map_or("refused", |()| "ok"),
        ),
        (
            "renameat2 exchange",
            by_renameat2(directory, RenameFlags::EXCHANGE).map_or("refused", |()| "ok"),
        ),
        (
            "renameat2 noreplace",
            match by_renameat2(directory, RenameFlags::NOREPLACE) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => "ok",
                _ => "wrong",
            },
        ),
        (
            "socket",
            UnixListener::bind(directory.join("socket")).map_or("refused", |_| "bound"),
        ),
        ("device", device(directory).map_or("refused", |()| "made")),
    ];
    results
        .map(|(name, result)| format!("{name} {result}\n"))
        .concat()
}

fn by_openat2(directory: &Path) -> std::io::Result<()> {
    let handle = rustix::fs::open(directory, OFlags::PATH, Mode::empty())?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
    let mode = Mode::from_raw_mode(0o640);
    let made = rustix::fs::openat2(&handle, "by-openat2", flags, mode, ResolveFlags::BENEATH)?;
    std::fs::File::from(made).write_all(b"text")?;
    let mut text = String::new();
    let file = rustix::fs::openat2(
        &handle,
        "by-openat2",
        OFlags::RDONLY,
        Mode::empty(),
        ResolveFlags::BENEATH,
    )?;
    std::fs::File::from(file).read_to_string(&mut text)?;
    (text == "text")
        .then_some(())
        .ok_or_else(|| std::io::ErrorKind::Other.into())
}

fn by_renameat2(directory: &Path, flags: RenameFlags) -> std::io::Result<()> {
    let [one, other] = ["one", "other"].map(|name| directory.join(name));
    std::fs::write(&one, "1")?;
    std::fs::write(&other, "2")?;
    rustix::fs::renameat_with(CWD, &one, CWD, &other, flags)?;
    let exchanged = std::fs::read_to_string(&one)? == "2";
    exchanged
        .then_some(())
        .ok_or_else(|| std::io::ErrorKind::Other.into())
}

fn device(directory: &Path) -> std::io::Result<()> {
    let null = rustix::fs::makedev(1, 3);
    let path = directory.join("null");
    rustix::fs::mknodat(CWD, &path, FileType::CharacterDevice, Mode::RUSR, null)?;
    std::fs::remove_file(path)
}
