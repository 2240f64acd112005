//! `lint FILE`: people name the file that they want checked.

use std::borrow::Cow;
use std::path::Path;

use crate::environment::Environment;
use crate::flags::commands::Build;

/// The build whose Dockerfile is the file that stands where the context should; the file's directory is the context.
pub fn of_file<'a>(build: &'a Build, environment: &Environment) -> Cow<'a, Build> {
    let file = build.path.as_deref().filter(|path| {
        let is_named = build.flags.kaniko.dockerfile.is_some();
        !is_named && environment.directory.join(path).is_file()
    });
    let Some(file) = file else {
        return Cow::Borrowed(build);
    };
    let directory = Path::new(file).parent().unwrap_or(Path::new(""));
    let context = match directory.to_str() {
        None | Some("") => ".",
        Some(directory) => directory,
    };
    let mut build = build.clone();
    build.flags.kaniko.dockerfile = Some(file.to_owned());
    build.path = Some(context.to_owned());
    Cow::Owned(build)
}
