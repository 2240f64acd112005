//! A file as it was read: its text, its values, and the line that a key stands on.

use std::path::{Path, PathBuf};

use serde_yaml::Value;

use super::error::{BakeError, Place};
use super::hcl::{self, Scope};
use super::read::Surroundings;

/// A Compose or bake file.
#[derive(Debug)]
pub(super) struct File {
    /// As the user named it.
    pub(super) name: PathBuf,
    /// The directory that its paths are relative to, itself relative to the working directory.
    pub(super) directory: PathBuf,
    text: String,
    /// Variables stand in place already.
    pub(super) evaluated: bool,
    /// What it says, with anchors resolved and variables in place.
    pub(super) value: Value,
}

impl File {
    /// Reads and parses a file; `name` is relative to `working`.
    pub(super) fn read(working: &Path, name: &Path) -> Result<Self, BakeError> {
        Self::parse(name, text(working, name)?)
    }

    /// Reads a file in HCL and evaluates it; what it declares stays in `scope`.
    pub(super) fn read_hcl(
        surroundings: &Surroundings,
        name: &Path,
        scope: &mut Scope,
    ) -> Result<Self, BakeError> {
        let text = text(&surroundings.working, name)?;
        let value = hcl::evaluate(&text, &surroundings.variables, scope);
        let value = value.map_err(|reason| BakeError::Hcl {
            path: name.to_owned(),
            reason,
        })?;
        Ok(Self {
            name: name.to_owned(),
            directory: name.parent().unwrap_or(Path::new("")).to_owned(),
            text,
            evaluated: true,
            value,
        })
    }

    /// Parses text. JSON is YAML too.
    pub(super) fn parse(name: &Path, text: String) -> Result<Self, BakeError> {
        let syntax = |source| BakeError::Syntax {
            path: name.to_owned(),
            source,
        };
        let mut value: Value = serde_yaml::from_str(&text).map_err(syntax)?;
        value.apply_merge().map_err(syntax)?;
        Ok(Self {
            name: name.to_owned(),
            directory: name.parent().unwrap_or(Path::new("")).to_owned(),
            text,
            evaluated: false,
            value,
        })
    }

    /// The place of the value that these keys lead to; of the nearest one above it when its line cannot be found.
    pub(super) fn place(&self, path: &[String]) -> Place {
        let (mut from, mut found, mut path) = (0, None, path);
        if let [kind, name, rest @ ..] = path
            && let Some(line) = self
                .text
                .lines()
                .position(|line| is_block(line, kind, name))
        {
            (from, found, path) = (line + 1, Some(line + 1), rest);
        }
        for key in path {
            // Keys are looked for one after another: each stands below the one it belongs to.
            let Some(offset) = self
                .text
                .lines()
                .skip(from)
                .position(|line| names(line, key))
            else {
                break;
            };
            from += offset;
            found = Some(from + 1);
            from += 1;
        }
        Place {
            file: self.name.clone(),
            line: found,
        }
    }
}

fn text(working: &Path, name: &Path) -> Result<String, BakeError> {
    std::fs::read_to_string(working.join(name)).map_err(|source| BakeError::Unreadable {
        path: name.to_owned(),
        source,
    })
}

/// Whether a line begins a block of HCL.
fn is_block(line: &str, kind: &str, name: &str) -> bool {
    let rest = line.trim_start().strip_prefix(kind);
    let rest = rest.and_then(|rest| rest.trim_start().strip_prefix('"')?.strip_prefix(name));
    rest.is_some_and(|rest| rest.starts_with('"') && rest.trim_end().ends_with(['{', '}']))
}

/// Whether a line gives a value to a key, in any of the spellings of YAML and JSON.
fn names(line: &str, key: &str) -> bool {
    let line = line.trim_start().trim_start_matches(['-', '{', ' ']);
    let rest = line
        .strip_prefix(key)
        .or_else(|| line.strip_prefix('"')?.strip_prefix(key)?.strip_prefix('"'))
        .or_else(|| {
            line.strip_prefix('\'')?
                .strip_prefix(key)?
                .strip_prefix('\'')
        });
    rest.is_some_and(|rest| rest.trim_start().starts_with([':', '=']))
}
