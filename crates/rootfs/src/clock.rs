//! The clock that dates the files of a root.

use std::io;

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, openat, statx};
use rustix::io::Errno;
use yadokari_tree::Timestamp;

use crate::directory::Dir;
use crate::root::Root;

/// The time a file changed now would get. The system clock runs ahead of it by
/// up to a tick, and a network filesystem has its own altogether.
pub(crate) fn filesystem_now(root: &Root) -> io::Result<Timestamp> {
    let dir = root.top();
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match openat(&**dir, c".", flags, Mode::RUSR) {
        Ok(file) => {
            let stat = statx(&file, c"", AtFlags::EMPTY_PATH, StatxFlags::CTIME)?;
            let ctime = stat.stx_ctime;
            Ok(Timestamp::new(ctime.tv_sec, ctime.tv_nsec))
        }
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => named_file(dir),
        // Nobody can write here, so nothing is younger than the beginning of
        // time: everything is compared by content when it is scanned again.
        Err(Errno::ROFS | Errno::ACCESS | Errno::PERM) => Ok(BEGINNING),
        Err(error) => Err(error.into()),
    }
}

/// For filesystems without nameless files. The directory gets its time back.
fn named_file(dir: &Dir) -> io::Result<Timestamp> {
    let before = dir.stat_self()?.stx_mtime;
    let name = free_name(dir)?;
    let stat = dir.stat(&name);
    dir.unlink(&name)?;
    dir.set_mtime(b".", Timestamp::new(before.tv_sec, before.tv_nsec))?;
    let ctime = stat?.stx_ctime;
    Ok(Timestamp::new(ctime.tv_sec, ctime.tv_nsec))
}

fn free_name(dir: &Dir) -> io::Result<Vec<u8>> {
    for number in 0_u32.. {
        let name = format!(".yadokari-clock-{number}").into_bytes();
        match dir.create(&name) {
            Ok(_) => return Ok(name),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::EXIST.into())
}

const BEGINNING: Timestamp = Timestamp::new(i64::MIN, 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_asking_give_the_time_of_a_new_file_and_leave_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let root = Root::open(temp.path()).unwrap();
        let before = root.top().stat_self().unwrap().stx_mtime;
        let first = filesystem_now(&root).unwrap();
        let second = named_file(root.top()).unwrap();
        root.top().create(b"file").unwrap();
        let ctime = root.top().stat(b"file").unwrap().stx_ctime;
        let third = Timestamp::new(ctime.tv_sec, ctime.tv_nsec);
        assert!(first <= second && second <= third);
        root.top().unlink(b"file").unwrap();
        assert_eq!(temp.path().read_dir().unwrap().count(), 0);
        assert!(third.seconds - before.tv_sec < 5);
    }
}
