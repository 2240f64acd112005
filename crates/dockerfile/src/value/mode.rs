//! The value of `--chmod`: octal, or symbolic as the chmod command reads it.

/// A change of permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// These bits (at most 07777), whatever was there.
    Octal(u16),
    /// Changes applied one after the other.
    Symbolic(Vec<Change>),
}

/// One change of a symbolic mode. It follows BSD's `chmod`, as the reference does: the sticky bit is nobody's, so that
/// only `t` touches it, and what is copied from `u`, `g` or `o` leaves set-id bits alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Sets bits.
    Set(u16),
    /// Clears bits.
    Clear(u16),
    /// Sets bits if the entry is a directory, or was executable for anybody before all changes.
    SetIfExecutable(u16),
    /// Clears bits unless the entry is a directory.
    ClearOfFile(u16),
    /// Brings the permissions of one of `u`, `g` and `o` to others.
    Copy {
        /// The shift that brings the permissions copied to the lowest three bits.
        from: u16,
        /// The lowest bit of each place they are brought to.
        to: u16,
        /// `+` adds them, `-` takes them away, `=` puts them in the place of others.
        operator: char,
    },
}

/// A mode that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModeError {
    /// A number that is not octal or too large.
    #[error("invalid chmod parameter: '{0}'. it should be octal string and between 0 and 07777")]
    NotOctal(String),
    /// Neither a number nor symbolic.
    #[error("invalid chmod parameter: '{0}': invalid syntax")]
    Syntax(String),
}

impl Mode {
    /// Reads an expanded `--chmod` value.
    ///
    /// # Errors
    ///
    /// If it is neither an octal number up to 07777 nor a symbolic mode.
    pub fn parse(text: &str) -> Result<Self, ModeError> {
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let number = u16::from_str_radix(text, 8)
                .ok()
                .filter(|mode| *mode <= 0o7777);
            return number
                .map(Self::Octal)
                .ok_or_else(|| ModeError::NotOctal(text.to_owned()));
        }
        let mut changes = Vec::new();
        let read = text
            .split(',')
            .try_for_each(|clause| read_clause(clause, &mut changes));
        read.map(|()| Self::Symbolic(changes))
            .ok_or_else(|| ModeError::Syntax(text.to_owned()))
    }

    /// Applies the change to the bits (07777) of one entry.
    ///
    /// ```
    /// # use yadokari_dockerfile::value::mode::Mode;
    /// assert_eq!(Mode::parse("+x")?.apply(0o600, false), 0o711);
    /// assert_eq!(Mode::parse("u=rwX,go=rX")?.apply(0o640, false), 0o644);
    /// # Ok::<(), yadokari_dockerfile::value::mode::ModeError>(())
    /// ```
    pub fn apply(&self, mode: u16, is_directory: bool) -> u16 {
        match self {
            Self::Octal(octal) => *octal,
            Self::Symbolic(changes) => {
                let before = mode & 0o7777;
                let executable = is_directory || before & 0o111 != 0;
                let changed = |mode, change: &Change| change.apply(mode, is_directory, executable);
                changes.iter().fold(before, changed)
            }
        }
    }
}

impl Change {
    fn apply(self, mode: u16, is_directory: bool, executable: bool) -> u16 {
        match self {
            Self::Set(bits) => mode | bits,
            Self::SetIfExecutable(bits) if executable => mode | bits,
            Self::ClearOfFile(bits) if !is_directory => mode & !bits,
            Self::SetIfExecutable(_) | Self::ClearOfFile(_) => mode,
            Self::Clear(bits) => mode & !bits,
            Self::Copy { from, to, operator } => {
                let bits = (mode >> from & 7) * to;
                match operator {
                    '+' => mode | bits,
                    '-' => mode & !bits,
                    _ => mode & !(7 * to) | bits,
                }
            }
        }
    }
}

const OTHERS: u16 = 0o0007;
const EVERYONE: u16 = 0o6777;
const STICKY: u16 = 0o1000;

/// Reads `u+rw-x`: whom it is about, then operators with permissions.
fn read_clause(text: &str, changes: &mut Vec<Change>) -> Option<()> {
    let mut rest = text.trim_start_matches(['u', 'g', 'o', 'a']);
    let who = text[..text.len() - rest.len()].chars().map(who_bits);
    let who = who.fold(0, |a, b| a | b);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let operator = rest.chars().next().filter(|c| "+-=".contains(*c))?;
        let end = rest[1..]
            .find(['+', '-', '='])
            .map_or(rest.len(), |at| at + 1);
        Action { operator, who }.read(&rest[1..end], changes)?;
        rest = &rest[end..];
    }
    Some(())
}

fn who_bits(c: char) -> u16 {
    match c {
        'u' => 0o4700,
        'g' => 0o2070,
        'o' => OTHERS,
        _ => EVERYONE,
    }
}

/// An operator and whom it is about; nobody named is everybody.
struct Action {
    operator: char,
    who: u16,
}

impl Action {
    fn read(mut self, permissions: &str, changes: &mut Vec<Change>) -> Option<()> {
        let (mut bits, mut execute, mut copied) = (0, false, false);
        for c in permissions.chars() {
            match c {
                'r' => bits |= 0o444,
                'w' => bits |= 0o222,
                'x' => bits |= 0o111,
                'X' => execute = true,
                's' if self.who != OTHERS => bits |= 0o6000,
                't' if self.who != OTHERS => {
                    bits |= STICKY;
                    self.who |= STICKY;
                }
                's' | 't' => {}
                'u' | 'g' | 'o' => {
                    self.change(std::mem::take(&mut bits), false, changes);
                    self.execute(std::mem::take(&mut execute), changes);
                    changes.push(self.copy(c));
                    copied = true;
                }
                _ => return None,
            }
        }
        self.change(bits, !copied, changes);
        self.execute(execute, changes);
        Some(())
    }

    /// What `r`, `w`, `x`, `s` and `t` come to. `=` without any of them clears, unless it copied before.
    fn change(&self, bits: u16, clears_alone: bool, changes: &mut Vec<Change>) {
        let reached = if self.who == 0 { bits } else { bits & self.who };
        match self.operator {
            '=' if bits != 0 || clears_alone => {
                let cleared = if self.who == 0 { EVERYONE } else { self.who };
                changes.extend([Change::Clear(cleared), Change::Set(reached)]);
            }
            '+' => changes.push(Change::Set(reached)),
            '-' => changes.push(Change::Clear(reached)),
            _ => {}
        }
    }

    fn execute(&self, wanted: bool, changes: &mut Vec<Change>) {
        let who = if self.who == 0 { EVERYONE } else { self.who };
        let bits = who & 0o111;
        changes.extend(wanted.then_some(match self.operator {
            '-' => Change::ClearOfFile(bits),
            _ => Change::SetIfExecutable(bits),
        }));
    }

    fn copy(&self, from: char) -> Change {
        let who = if self.who == 0 { EVERYONE } else { self.who };
        Change::Copy {
            from: match from {
                'u' => 6,
                'g' => 3,
                _ => 0,
            },
            to: who & 0o111,
            operator: self.operator,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbolic_modes_are_applied() {
        for (text, before, directory, after) in [
            ("+x", 0o600, false, 0o711),
            ("a-w", 0o666, false, 0o444),
            ("g=u", 0o740, false, 0o770),
            ("u+s", 0o755, false, 0o4755),
            ("+t", 0o755, true, 0o1755),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("=", 0o777, false, 0),
            ("u+x-w", 0o600, false, 0o500),
            ("o+s", 0o755, false, 0o755),
            ("g+s,o=", 0o755, false, 0o2750),
            ("=t", 0o4751, false, 0o5751),
            ("o+t", 0o4751, false, 0o4751),
            ("u+t", 0o4751, false, 0o5751),
            ("u=t", 0o4751, false, 0o1051),
            ("go=t", 0o4751, false, 0o5700),
            ("a=", 0o7777, false, 0o1000),
            ("=u", 0o4751, false, 0o4777),
            ("u=g+x", 0o4751, false, 0o4551),
            ("u=gx", 0o4751, false, 0o151),
            ("g=ru", 0o4751, false, 0o4771),
            ("g=uo", 0o4751, false, 0o4711),
            ("=rt", 0o4751, false, 0o5751),
            ("u=X", 0o4751, false, 0o151),
            ("=X", 0o7777, true, 0o1111),
            ("o-u", 0o4751, false, 0o4750),
            ("u=u+s", 0o640, false, 0o4640),
            ("u+", 0o640, false, 0o640),
            ("-X", 0o4571, false, 0o4460),
            ("o-X", 0o111, false, 0o110),
            ("a+x,a-X", 0o644, false, 0o644),
            ("-X", 0o755, true, 0o755),
        ] {
            assert_eq!(
                Mode::parse(text).unwrap().apply(before, directory),
                after,
                "{text} on {before:o}"
            );
        }
    }

    #[test]
    fn octal_modes_replace_everything() {
        assert_eq!(Mode::parse("0755"), Ok(Mode::Octal(0o755)));
        assert_eq!(Mode::parse("7777").unwrap().apply(0, false), 0o7777);
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["888", "17777", "99999999999999999999", "64a", "0x1ff"] {
            assert_eq!(Mode::parse(text), Err(ModeError::NotOctal(text.to_owned())));
        }
        for text in ["", "x", "u", "u+q", "u+x,", "rwx", "-1", "u=1"] {
            assert_eq!(
                Mode::parse(text),
                Err(ModeError::Syntax(text.to_owned())),
                "{text}"
            );
        }
    }
}
