//! Which calls are reported, and what their registers say.

use std::ops::ControlFlow;

use libc::sock_filter;

use super::notify::Data;
use crate::seccomp::{self, op};

/// A path as a call has it: the directory that a relative one starts at, and where the text lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operand {
    pub(super) at: i32,
    pub(super) address: u64,
}

/// What a call is to do to the entries of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Directory {
        name: Operand,
        mode: u32,
    },
    Open {
        name: Operand,
        flags: u32,
        mode: u32,
    },
    /// `openat2`, whose flags are in memory.
    OpenAsDescribed {
        name: Operand,
        description: u64,
    },
    Node {
        name: Operand,
        mode: u32,
        device: u64,
    },
    Symlink {
        target: u64,
        name: Operand,
    },
    Link {
        from: Operand,
        to: Operand,
        flags: u32,
    },
    Rename {
        from: Operand,
        to: Operand,
        flags: u32,
    },
    Remove {
        name: Operand,
        directory: bool,
    },
    List {
        descriptor: u32,
        buffer: u64,
        length: u64,
    },
}

impl Call {
    /// The call of a report, if it is one of those that are known here.
    pub(super) fn of(data: &Data) -> Option<Self> {
        let tables = TABLES
            .iter()
            .find(|table| table.architecture == data.architecture)?;
        let known = tables
            .calls
            .iter()
            .find(|known| known.number == i64::from(data.number))?;
        Some(known.read(data.arguments))
    }
}

/// The order of a call's arguments. Each has a form that starts with the descriptor of a directory and one without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Directory,
    Open,
    Create,
    OpenAsDescribed,
    Node,
    Symlink,
    Link,
    Rename,
    RenameWithFlags,
    Remove,
    RemoveDirectory,
    List,
}

struct Known {
    number: i64,
    shape: Shape,
    /// Whether descriptors of directories come before paths.
    at: bool,
}

impl Known {
    fn read(&self, arguments: [u64; 6]) -> Call {
        let mut arguments = Arguments {
            rest: arguments.into_iter(),
            at: self.at,
        };
        let a = &mut arguments;
        match self.shape {
            Shape::Directory => Call::Directory {
                name: a.operand(),
                mode: a.number(),
            },
            Shape::Open => Call::Open {
                name: a.operand(),
                flags: a.number(),
                mode: a.number(),
            },
            Shape::Create => Call::Open {
                name: a.operand(),
                flags: CREATE,
                mode: a.number(),
            },
            Shape::OpenAsDescribed => Call::OpenAsDescribed {
                name: a.operand(),
                description: a.word(),
            },
            Shape::Node => Call::Node {
                name: a.operand(),
                mode: a.number(),
                device: u64::from(a.number()),
            },
            Shape::Symlink => Call::Symlink {
                target: a.word(),
                name: a.operand(),
            },
            Shape::Link => Call::Link {
                from: a.operand(),
                to: a.operand(),
                flags: if self.at { a.number() } else { 0 },
            },
            Shape::Rename | Shape::RenameWithFlags => Call::Rename {
                from: a.operand(),
                to: a.operand(),
                flags: if self.shape == Shape::RenameWithFlags {
                    a.number()
                } else {
                    0
                },
            },
            Shape::Remove => Call::Remove {
                name: a.operand(),
                directory: self.at && a.number() & libc::AT_REMOVEDIR.unsigned_abs() != 0,
            },
            Shape::RemoveDirectory => Call::Remove {
                name: a.operand(),
                directory: true,
            },
            Shape::List => Call::List {
                descriptor: a.number(),
                buffer: a.word(),
                length: u64::from(a.number()),
            },
        }
    }
}

/// Arguments as they come. What is missing reads as zero.
struct Arguments {
    rest: std::array::IntoIter<u64, 6>,
    at: bool,
}

impl Arguments {
    fn word(&mut self) -> u64 {
        self.rest.next().unwrap_or(0)
    }

    /// The lower half, which is all the kernel looks at where it takes an int.
    fn number(&mut self) -> u32 {
        self.word() as u32
    }

    fn operand(&mut self) -> Operand {
        let at = if self.at {
            self.number().cast_signed()
        } else {
            libc::AT_FDCWD
        };
        Operand {
            at,
            address: self.word(),
        }
    }
}

struct Table {
    architecture: u32,
    calls: &'static [Known],
}

/// Reports the calls of [`TABLES`]; of those that open something, the ones that may make a file.
pub(super) fn filter() -> Vec<sock_filter> {
    let mut program = vec![op::load(op::ARCHITECTURE)];
    for table in TABLES {
        let section = section(table);
        let skipped = u32::try_from(section.len()).expect("a section has a hundred instructions");
        program.extend([op::if_equal(table.architecture, 1, 0), op::jump(skipped)]);
        program.extend(section);
    }
    program.push(op::answer(op::ALLOW));
    program
}

fn section(table: &Table) -> Vec<sock_filter> {
    let mut section = vec![op::load(op::NUMBER)];
    for known in table.calls {
        match known.condition() {
            ControlFlow::Break(()) => {
                section.extend([op::if_call(known.number, 0, 1), op::answer(op::REPORT)]);
            }
            ControlFlow::Continue(flags) => section.extend([
                op::if_call(known.number, 0, 4),
                op::load(op::argument(flags)),
                op::if_any_bit(libc::O_CREAT.unsigned_abs(), 0, 1),
                op::answer(op::REPORT),
                op::answer(op::ALLOW),
            ]),
        }
    }
    section.push(op::answer(op::ALLOW));
    section
}

impl Known {
    /// The argument whose bits decide whether the call is reported; a break for one that always is.
    fn condition(&self) -> ControlFlow<(), u32> {
        match self.shape {
            Shape::Open => ControlFlow::Continue(1 + u32::from(self.at)),
            _ => ControlFlow::Break(()),
        }
    }
}

/// What `creat` stands for.
const CREATE: u32 = (libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC).unsigned_abs();

const fn path(number: i64, shape: Shape) -> Known {
    Known {
        number,
        shape,
        at: false,
    }
}

const fn at(number: i64, shape: Shape) -> Known {
    Known {
        number,
        shape,
        at: true,
    }
}

const TABLES: &[Table] = &[
    Table {
        architecture: seccomp::ARCHITECTURE,
        calls: NATIVE,
    },
    #[cfg(target_arch = "x86_64")]
    Table {
        architecture: seccomp::I386,
        calls: I386,
    },
];

const NATIVE: &[Known] = &[
    at(libc::SYS_openat, Shape::Open),
    path(libc::SYS_getdents64, Shape::List),
    at(libc::SYS_unlinkat, Shape::Remove),
    at(libc::SYS_mkdirat, Shape::Directory),
    at(libc::SYS_renameat, Shape::Rename),
    at(libc::SYS_renameat2, Shape::RenameWithFlags),
    at(libc::SYS_linkat, Shape::Link),
    at(libc::SYS_symlinkat, Shape::Symlink),
    at(libc::SYS_mknodat, Shape::Node),
    at(libc::SYS_openat2, Shape::OpenAsDescribed),
    #[cfg(target_arch = "x86_64")]
    path(libc::SYS_open, Shape::Open),
    #[cfg(target_arch = "x86_64")]
    path(libc::SYS_creat, Shape::Create),
    #[cfg(target_arch = "x86_64")]
    path(libc::SYS_unlink, Shape::Remove),
    #[cfg(target_arch = "x86_64")]
    path(libc::SYS_rmdir, Shape::RemoveDirectory),
    #[cfg(target_arch = "x86_64")]
    path(libc::SYS_mkdir, Shape::Directory),
    #[cfg(target_arch = "x86_64")]
    path(libc::SYS_rename, Shape::Rename),
    #[cfg(target_arch = "x86_64")]
    path(libc::SYS_link, Shape::Link),
    #[cfg(target_arch = "x86_64")]
    path(libc::SYS_symlink, Shape::Symlink),
    #[cfg(target_arch = "x86_64")]
    path(libc::SYS_mknod, Shape::Node),
];

/// Programs of 32 bits have numbers of their own, which no crate names here.
#[cfg(target_arch = "x86_64")]
const I386: &[Known] = &[
    path(5, Shape::Open),
    path(8, Shape::Create),
    path(9, Shape::Link),
    path(10, Shape::Remove),
    path(14, Shape::Node),
    path(38, Shape::Rename),
    path(39, Shape::Directory),
    path(40, Shape::RemoveDirectory),
    path(83, Shape::Symlink),
    path(220, Shape::List),
    at(295, Shape::Open),
    at(296, Shape::Directory),
    at(297, Shape::Node),
    at(301, Shape::Remove),
    at(302, Shape::Rename),
    at(303, Shape::Link),
    at(304, Shape::Symlink),
    at(353, Shape::RenameWithFlags),
    at(437, Shape::OpenAsDescribed),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_with_and_without_a_directory_are_the_same_call() {
        let text = |at, address| Operand { at, address };
        let read = |shape, at, arguments| {
            Known {
                number: 0,
                shape,
                at,
            }
            .read(arguments)
        };
        let here = libc::AT_FDCWD;
        assert_eq!(
            read(Shape::Rename, false, [1, 2, 3, 0, 0, 0]),
            Call::Rename {
                from: text(here, 1),
                to: text(here, 2),
                flags: 0
            }
        );
        assert_eq!(
            read(Shape::RenameWithFlags, true, [7, 1, 8, 2, 3, 0]),
            Call::Rename {
                from: text(7, 1),
                to: text(8, 2),
                flags: 3
            }
        );
        assert_eq!(
            read(Shape::Remove, true, [0xffff_ff9c, 1, 0x200, 0, 0, 0]),
            Call::Remove {
                name: text(here, 1),
                directory: true
            }
        );
        // What is left in a register that the call does not have means nothing.
        assert_eq!(
            read(Shape::Remove, false, [1, 0x200, 0x200, 0, 0, 0]),
            Call::Remove {
                name: text(here, 1),
                directory: false
            }
        );
        assert_eq!(
            read(Shape::Symlink, true, [1, 7, 2, 0, 0, 0]),
            Call::Symlink {
                target: 1,
                name: text(7, 2)
            }
        );
        assert_eq!(
            read(Shape::Create, false, [1, 0o644, 9, 0, 0, 0]),
            Call::Open {
                name: text(here, 1),
                flags: CREATE,
                mode: 0o644
            }
        );
    }

    #[test]
    fn no_number_is_twice_in_a_table() {
        for table in TABLES {
            let mut numbers: Vec<i64> = table.calls.iter().map(|known| known.number).collect();
            let all = numbers.len();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), all);
        }
    }
}
