//! From names of files to targets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::BakeError;
use super::extends::Service;
use super::file::File;
use super::hcl::Scope;
use super::select::Bake;
use super::{compose, extends, json};

/// What a description may refer to.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The directory that names of files are relative to.
    pub working: PathBuf,
    /// Variables.
    pub variables: BTreeMap<String, String>,
    /// Profiles of Compose that are asked for.
    pub profiles: Vec<String>,
}

/// Files that are read when none is named, all that are there.
const USUAL: [&str; 8] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "docker-bake.json",
    "docker-bake.hcl",
    "docker-bake.override.json",
    "docker-bake.override.hcl",
];

/// Reads the files, each one changing what the ones before it say; without names those of the usual names.
///
/// # Errors
///
/// The first thing that cannot be understood, with its file and line.
pub fn read(names: &[PathBuf], surroundings: &Surroundings) -> Result<Bake, BakeError> {
    let names = match names {
        [] => usual(&surroundings.working)?,
        names => names.to_vec(),
    };
    let mut bake = Bake::default();
    let mut services: BTreeMap<String, Service> = BTreeMap::new();
    let mut order = Vec::new();
    let mut scope = Scope::default();
    for name in &names {
        let is_hcl = name.extension().is_some_and(|extension| extension == "hcl");
        let mut file = match is_hcl {
            true => File::read_hcl(surroundings, name, &mut scope)?,
            false => File::read(&surroundings.working, name)?,
        };
        if file.value.get("services").is_some() || file.value.get("include").is_some() {
            let lookup = lookup(surroundings, &names);
            for (service, read) in compose::services(&mut file, surroundings, &lookup)? {
                order.retain(|known| known != &service);
                order.push(service.clone());
                extends::merge_into(&mut services, service, read);
            }
        } else {
            json::add(&mut file, surroundings, &mut bake)?;
        }
    }
    compose::finish(services, &order, &surroundings.profiles, &mut bake);
    Ok(bake)
}

fn usual(working: &Path) -> Result<Vec<PathBuf>, BakeError> {
    let found: Vec<PathBuf> = USUAL
        .iter()
        .map(PathBuf::from)
        .filter(|name| working.join(name).is_file())
        .collect();
    // Only the first of the names of Compose's file counts, as everywhere.
    let mut composes = 0;
    let found: Vec<_> = found
        .into_iter()
        .filter(|name| {
            let is_compose = name
                .extension()
                .is_some_and(|end| end != "json" && end != "hcl");
            composes += usize::from(is_compose);
            !is_compose || composes == 1
        })
        .collect();
    if found.is_empty() {
        return Err(BakeError::NoFile {
            directory: working.to_owned(),
        });
    }
    Ok(found)
}

/// Variables of the environment, then those of the file `.env` beside the first file.
fn lookup(surroundings: &Surroundings, names: &[PathBuf]) -> BTreeMap<String, String> {
    let directory = names.first().and_then(|name| name.parent());
    let path = surroundings
        .working
        .join(directory.unwrap_or(Path::new("")))
        .join(".env");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut variables = dotenv(&text);
    variables.extend(surroundings.variables.clone());
    variables
}

/// The lines of a `.env` file: `NAME=value`, with `export`, quotes and comments.
fn dotenv(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=')?;
        let name = name.trim();
        (!name.is_empty() && !name.starts_with('#')).then(|| (name.to_owned(), unquoted(value)))
    };
    text.lines().filter_map(line).collect()
}

fn unquoted(value: &str) -> String {
    let value = value.trim();
    for quote in ['"', '\''] {
        let inner = value.strip_prefix(quote);
        if let Some((inner, _)) = inner.and_then(|inner| inner.rsplit_once(quote)) {
            return if quote == '"' {
                inner.replace("\\n", "\n").replace("\\\"", "\"")
            } else {
                inner.to_owned()
            };
        }
    }
    value
        .split_once(" #")
        .map_or(value, |(before, _)| before.trim_end())
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotenv_files_have_quotes_and_comments() {
        let text = "# first\nA=1\nexport B = two words # note\nC=\"x # y\"\nD='$E'\nnothing\n=x\n";
        let expected = [("A", "1"), ("B", "two words"), ("C", "x # y"), ("D", "$E")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(dotenv(text), BTreeMap::from(expected));
    }
}
