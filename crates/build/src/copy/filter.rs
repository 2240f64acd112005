//! What a COPY takes from a directory, by `--parents` and `--exclude`.

use yadokari_dockerfile::glob;
use yadokari_dockerfile::ignore::Patterns;

use super::CopyFailure;

/// What `--parents` takes and `--exclude` leaves out, by path below the copied directory.
pub(super) struct Filter<'a> {
    pub(super) include: Option<&'a Include>,
    pub(super) exclude: Option<&'a Patterns>,
}

/// A source of `--parents`: what it matches, and everything below that.
pub(super) struct Include(glob::Deep);

impl Include {
    pub(super) fn new(pattern: &str) -> Result<Self, CopyFailure> {
        let bad = |_| CopyFailure::Pattern {
            pattern: pattern.to_owned(),
        };
        glob::Deep::new(pattern).map(Self).map_err(bad)
    }

    /// Whether a path, or a directory above it, is matched.
    fn takes(&self, relative: &[u8]) -> bool {
        let ends = relative
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| at);
        ends.chain([relative.len()])
            .any(|end| self.0.matches(&relative[..end]))
    }
}

pub(super) enum Verdict {
    /// Copied.
    Take,
    /// A directory that is only made if something below it is copied.
    Through,
    /// Neither it nor anything below it is copied.
    Skip,
}

impl<'a> Filter<'a> {
    pub(super) fn excluding(exclude: Option<&'a Patterns>) -> Self {
        Self {
            include: None,
            exclude,
        }
    }

    pub(super) fn verdict(&self, relative: &[u8]) -> Result<Verdict, CopyFailure> {
        if let Some(exclude) = self.exclude
            && exclude.excludes(relative).is_some()
        {
            return Ok(if exclude.may_reinclude_below(relative) {
                Verdict::Through
            } else {
                Verdict::Skip
            });
        }
        match self.include {
            None => Ok(Verdict::Take),
            Some(include) => Ok(if include.takes(relative) {
                Verdict::Take
            } else {
                Verdict::Through
            }),
        }
    }
}
