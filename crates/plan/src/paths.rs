//! Paths of instructions: strings with slashes, cleaned without looking at any file.

/// Removes `.`, `..` and empty components of an absolute path; `..` stops at the root.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Joins a path onto a directory unless it is absolute, and cleans the result.
pub(crate) fn join(directory: &str, path: &str) -> String {
    if path.starts_with('/') {
        clean(path)
    } else {
        clean(&format!("{directory}/{path}"))
    }
}

/// The absolute destination of a copy; that it names a directory shows in a trailing slash.
pub(crate) fn destination(directory: &str, path: &str) -> String {
    let names_directory = ["", ".", ".."].contains(&path);
    let is_directory = names_directory || path.ends_with('/') || path.ends_with("/.");
    let mut joined = join(directory, path);
    if is_directory && joined != "/" {
        joined.push('/');
    }
    joined
}

/// The working directory after WORKDIR: an absolute path stays as it is written.
pub(crate) fn workdir(current: &str, path: &str) -> String {
    match path {
        "" if current.is_empty() => "/".to_owned(),
        "" => current.to_owned(),
        path if path.starts_with('/') => path.to_owned(),
        path => join(current, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_keep_whether_they_are_directories() {
        for (path, expected) in [
            ("c/", "/wd/c/"),
            ("", "/wd/"),
            (".", "/wd/"),
            ("./b", "/wd/b"),
            ("../../../d", "/d"),
            ("/x/y/", "/x/y/"),
            ("/z/.", "/z/"),
            ("/", "/"),
            ("/../../x", "/x"),
        ] {
            assert_eq!(destination("/wd", path), expected, "{path}");
        }
    }

    #[test]
    fn an_absolute_working_directory_is_not_cleaned() {
        assert_eq!(workdir("/a", "/a/../b/./c/"), "/a/../b/./c/");
        assert_eq!(workdir("/a", "b/../c"), "/a/c");
        assert_eq!(workdir("", "x"), "/x");
        assert_eq!(workdir("/a", ""), "/a");
    }
}
