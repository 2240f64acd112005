//! The value of `--chmod`: octal, or symbolic as the chmod command reads it.

/// A change of permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// These bits (at most 07777), whatever was there.
    Octal(u16),
    /// Changes applied one after the other.
    Symbolic(Vec<Clause>),
}

/// One clause of a symbolic mode: whom it is about, and what is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    who: u16,
    actions: Vec<(char, Permissions)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permissions {
    /// Bits in every place, and whether `X` is among them.
    Bits { bits: u16, execute_if: bool },
    /// The bits of `u`, `g` or `o`, as the shift that brings them to the lowest three.
    CopyOf(u16),
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
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            let number = u16::from_str_radix(text, 8)
                .ok()
                .filter(|mode| *mode <= 0o7777);
            return number
                .map(Self::Octal)
                .ok_or_else(|| ModeError::NotOctal(text.to_owned()));
        }
        let clauses: Option<Vec<Clause>> = text.split(',').map(clause).collect();
        clauses
            .map(Self::Symbolic)
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
            Self::Symbolic(clauses) => clauses.iter().fold(mode & 0o7777, |mode, clause| {
                clause.apply(mode, is_directory)
            }),
        }
    }
}

impl Clause {
    fn apply(&self, mode: u16, is_directory: bool) -> u16 {
        let act = |mode: u16, (operator, permissions): &(char, Permissions)| {
            let bits = permissions.bits(mode, is_directory) & self.who;
            match operator {
                '+' => mode | bits,
                '-' => mode & !bits,
                _ => (mode & !self.who) | bits,
            }
        };
        self.actions.iter().fold(mode, act)
    }
}

impl Permissions {
    fn bits(self, mode: u16, is_directory: bool) -> u16 {
        match self {
            Self::Bits { bits, execute_if }
                if execute_if && (is_directory || mode & 0o111 != 0) =>
            {
                bits | 0o111
            }
            Self::Bits { bits, .. } => bits,
            Self::CopyOf(shift) => (mode >> shift & 7) * 0o111,
        }
    }
}

fn clause(text: &str) -> Option<Clause> {
    let mut rest = text.trim_start_matches(['u', 'g', 'o', 'a']);
    let who = text[..text.len() - rest.len()]
        .chars()
        .map(who_bits)
        .fold(0, |a, b| a | b);
    let mut clause = Clause {
        who: if who == 0 { 0o7777 } else { who },
        actions: Vec::new(),
    };
    while !rest.is_empty() {
        let operator = rest
            .chars()
            .next()
            .filter(|c| matches!(c, '+' | '-' | '='))?;
        let end = rest[1..]
            .find(['+', '-', '='])
            .map_or(rest.len(), |at| at + 1);
        clause.actions.push((operator, permissions(&rest[1..end])?));
        rest = &rest[end..];
    }
    (!clause.actions.is_empty()).then_some(clause)
}

fn who_bits(c: char) -> u16 {
    match c {
        'u' => 0o4700,
        'g' => 0o2070,
        'o' => 0o1007,
        _ => 0o7777,
    }
}

fn permissions(text: &str) -> Option<Permissions> {
    match text {
        "u" => return Some(Permissions::CopyOf(6)),
        "g" => return Some(Permissions::CopyOf(3)),
        "o" => return Some(Permissions::CopyOf(0)),
        _ => {}
    }
    let (mut bits, mut execute_if) = (0, false);
    for c in text.chars() {
        bits |= match c {
            'r' => 0o444,
            'w' => 0o222,
            'x' => 0o111,
            's' => 0o6000,
            't' => 0o1000,
            'X' => {
                execute_if = true;
                0
            }
            _ => return None,
        };
    }
    Some(Permissions::Bits { bits, execute_if })
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
        for text in ["888", "17777", "99999999999999999999"] {
            assert_eq!(Mode::parse(text), Err(ModeError::NotOctal(text.to_owned())));
        }
        for text in ["", "x", "u", "u+q", "u+x,", "rwx", "-1", "u=ug"] {
            assert_eq!(
                Mode::parse(text),
                Err(ModeError::Syntax(text.to_owned())),
                "{text}"
            );
        }
    }
}
