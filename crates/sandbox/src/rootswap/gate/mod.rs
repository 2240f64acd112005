//! Stands between a confined command and the directories that hold something hidden.
//!
//! A Landlock rule for a directory reaches everything below it, so there can be none
//! for `/` that allows to make and remove entries: it would allow so in the state
//! directory and in every volume. The command's calls that make, rename and remove
//! entries are reported here by seccomp instead. Those that concern a directory with
//! something hidden in it are made here, with the command's rights and never on what
//! is hidden; for all others Landlock decides, which knows rules for them.
//!
//! What is made so has no rule of its own, and could not be used. It is replaced by
//! something that had its rule before the domain was entered: see [`Pool`].

mod caller;
mod calls;
mod entries;
mod fresh;
mod guarded;
mod identity;
mod listing;
mod notify;
mod place;
mod pool;
mod reclaim;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, RenameFlags};
use rustix::io::Errno;

use self::caller::Caller;
use self::calls::{Call, Operand};
use self::entries::{Entry, Hand};
use self::guarded::Guarded;
use self::identity::Identity;
use self::listing::Listings;
use self::notify::{Answer, Notice, add_descriptor, is_valid, receive, respond};
use self::place::{Place, path_of};
use self::pool::Pool;
use crate::error::{Fault, fault};

pub(crate) use self::guarded::divide;
pub(crate) use self::notify::{give, install_filter, take};

/// Stands between a command and what is hidden.
#[derive(Debug)]
pub(crate) struct Gate {
    bounds: Bounds,
    pool: Pool,
    listings: Listings,
}

/// The directories that hold something hidden, and this process's own rights.
#[derive(Debug)]
struct Bounds {
    guarded: Vec<Guarded>,
    hidden: Vec<PathBuf>,
    own: Identity,
}

impl Gate {
    /// Opens the `guarded` directories, and sees to what is held ready for them in the directory `spares`.
    ///
    /// `open` lies in them, and `hidden` too.
    pub(crate) fn prepare(
        spares: PathBuf,
        hidden: &[PathBuf],
        guarded: &[PathBuf],
        open: &[PathBuf],
    ) -> Result<Self, Fault> {
        let opened = guarded
            .iter()
            .map(|path| Guarded::open(path, hidden, guarded));
        let unknown = || fault("read the identity in", "/proc/self/status", libc::EINVAL);
        let bounds = Bounds {
            guarded: opened.collect::<Result<_, _>>()?,
            hidden: hidden.to_vec(),
            own: Identity::own().ok_or_else(unknown)?,
        };
        Ok(Self {
            bounds,
            pool: Pool::prepare(spares, open)?,
            listings: Listings::default(),
        })
    }

    /// Everything held ready, for rules.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &PathBuf> {
        self.pool.ready()
    }

    /// Whether the command made something that it could not use.
    pub(crate) fn ran_dry(&self) -> bool {
        self.pool.ran_dry()
    }

    /// To be called when the command has ended: frees the room of what it removed.
    pub(crate) fn close(&mut self) {
        self.pool.close();
    }

    /// Answers one report, if there is one.
    pub(crate) fn serve(&mut self, listener: &OwnedFd) {
        let Some(notice) = receive(listener) else {
            return;
        };
        let answer = self.decide(listener, &notice);
        respond(listener, notice.id, answer.unwrap_or(Answer::Continue));
    }

    /// What a report is answered; nothing where the kernel and Landlock decide.
    fn decide(&mut self, listener: &OwnedFd, notice: &Notice) -> Option<Answer> {
        let caller = Caller::new(notice.pid);
        let call = Call::of(&notice.data)?;
        if let Call::List {
            descriptor,
            buffer,
            length,
        } = call
        {
            return self.list(listener, notice, (descriptor, buffer, length));
        }
        let places = self.bounds.places(caller, call)?;
        let identity = caller.identity()?;
        let target = match call {
            Call::Symlink { target, .. } => Some(caller.path(target)?),
            _ => None,
        };
        let call = described(caller, call, &places)?;
        // All that was read of it is its own if it still waits.
        if !caller.has_our_root() || !is_valid(listener, notice.id) {
            return None;
        }
        match self.bounds.entries(&identity, places) {
            // The kernel finds the same mistake, and says it better.
            Err(Errno::LOOP | Errno::NOENT | Errno::NOTDIR) => None,
            Err(errno) => Some(Answer::Failed(errno)),
            Ok(entries) => {
                let mut hand = Hand {
                    pool: &mut self.pool,
                    caller: &identity,
                    own: &self.bounds.own,
                };
                perform(&mut hand, call, target.as_deref(), &entries)
            }
        }
    }

    /// Reads entries of a guarded directory.
    fn list(
        &mut self,
        listener: &OwnedFd,
        notice: &Notice,
        wanted: (u32, u64, u64),
    ) -> Option<Answer> {
        let caller = Caller::new(notice.pid);
        let path = caller.directory(wanted.0.cast_signed());
        let inode = caller.inode_at(&path)?;
        let directory = self.bounds.guard(inode)?;
        if !is_valid(listener, notice.id) {
            return None;
        }
        let replace = |stream: &OwnedFd, close_on_exec| {
            add_descriptor(listener, notice.id, stream, close_on_exec, Some(wanted.0)).map(drop)
        };
        match self.listings.read(caller, directory, wanted, replace) {
            Ok(length) => length.map(Answer::Done),
            Err(errno) => Some(Answer::Failed(errno)),
        }
    }
}

impl Bounds {
    /// The places that a call is about, if one of them is guarded.
    fn places(&self, caller: Caller, call: Call) -> Option<Vec<Place>> {
        let operands = operands(call);
        let places = operands
            .iter()
            .map(|operand| Place::read(caller, *operand))
            .collect::<Option<Vec<_>>>()?;
        let is_guarded = |place: &Place| {
            place
                .inode(caller)
                .is_some_and(|inode| self.guard(inode).is_some())
        };
        places.iter().any(is_guarded).then_some(places)
    }

    /// Opens the directories of places with the command's rights. Hidden ones are refused.
    fn entries(&self, identity: &Identity, places: Vec<Place>) -> Result<Vec<Entry<'_>>, Errno> {
        let opened = {
            let _rights = identity.assume(&self.own)?;
            let opened = places.iter().map(Place::open);
            opened.collect::<Result<Vec<OwnedFd>, _>>()?
        };
        let pairs = opened.into_iter().zip(places);
        pairs
            .map(|(parent, place)| self.entry(parent, place))
            .collect()
    }

    fn entry(&self, parent: OwnedFd, place: Place) -> Result<Entry<'_>, Errno> {
        let stat = rustix::fs::fstat(&parent)?;
        let inode = (stat.st_dev, stat.st_ino);
        let guard = self.guard(inode);
        if guard.is_none() {
            let path = path_of(&parent)?;
            if self.hidden.iter().any(|hidden| path.starts_with(hidden)) {
                return Err(Errno::ACCESS);
            }
        }
        Ok(Entry {
            parent,
            name: place.name,
            guard,
            slash: place.slash,
        })
    }

    fn guard(&self, inode: (u64, u64)) -> Option<&Guarded> {
        self.guarded.iter().find(|one| one.inode() == inode)
    }
}

fn operands(call: Call) -> Vec<Operand> {
    match call {
        Call::Directory { name, .. }
        | Call::Open { name, .. }
        | Call::OpenAsDescribed { name, .. }
        | Call::Node { name, .. }
        | Call::Symlink { name, .. }
        | Call::Remove { name, .. } => vec![name],
        Call::Link { from, to, .. } | Call::Rename { from, to, .. } => vec![from, to],
        Call::List { .. } => Vec::new(),
    }
}

/// `openat2` as the call that it stands for.
///
/// Its restrictions concern the way to the directory. Where there is none, they are kept: the last name is never followed.
fn described(caller: Caller, call: Call, places: &[Place]) -> Option<Call> {
    let Call::OpenAsDescribed { name, description } = call else {
        return Some(call);
    };
    let mut words = [0; 24];
    (caller.read(description, &mut words)? == words.len()).then_some(())?;
    let word = |index: usize| {
        let bytes = words[8 * index..8 * (index + 1)].try_into();
        bytes.map_or(0, u64::from_ne_bytes)
    };
    let [flags, mode, restrictions] = [word(0), word(1), word(2)];
    let direct = places.iter().all(Place::is_direct);
    if restrictions != 0 && !direct {
        return None;
    }
    Some(Call::Open {
        name,
        flags: u32::try_from(flags).ok()?,
        mode: u32::try_from(mode).ok()?,
    })
}

/// Makes the call; nothing where the kernel has to.
fn perform(
    hand: &mut Hand<'_>,
    call: Call,
    target: Option<&Path>,
    entries: &[Entry<'_>],
) -> Option<Answer> {
    Some(match (call, entries) {
        (Call::Directory { mode, .. }, [entry]) => hand.make_directory(entry, mode),
        (
            Call::Remove {
                directory: true, ..
            },
            [entry],
        ) => hand.remove_directory(entry),
        (Call::Rename { flags, .. }, [from, to]) => {
            hand.rename(from, to, RenameFlags::from_bits_retain(flags))
        }
        // A slash after what is no directory is a mistake that the kernel knows.
        (_, entries) if entries.iter().any(|entry| entry.slash) => return None,
        (Call::Open { flags, mode, .. }, [entry]) => {
            let flags = OFlags::from_bits_retain(flags);
            let other = OFlags::DIRECTORY | OFlags::PATH;
            if flags.intersects(other) || !flags.contains(OFlags::CREATE) {
                return None;
            }
            hand.open(entry, flags, mode)
        }
        (Call::Node { mode, device, .. }, [entry]) => hand.make_node(entry, mode, device),
        (Call::Symlink { .. }, [entry]) => hand.make_symlink(target?, entry),
        (Call::Link { flags: 0, .. }, [from, to]) => hand.link(from, to),
        (Call::Remove { .. }, [entry]) => hand.remove(entry),
        _ => return None,
    })
}
