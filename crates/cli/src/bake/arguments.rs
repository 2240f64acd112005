//! A target as the command line of `yadokari build`.

use std::path::{Component, Path, PathBuf};

use super::target::{Target, field};

/// Where things lie that a target's description does not hold as files.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The Dockerfile that stood in the description.
    pub inline: Option<&'a Path>,
    /// Directory of the images of other targets, an OCI layout each.
    pub images: &'a Path,
}

impl Target {
    /// The directory of the build context, if it is one of this machine's.
    pub fn local_context(&self) -> Option<&Path> {
        (!is_remote(&self.context)).then(|| Path::new(&self.context))
    }

    /// The Dockerfile as a path of the working directory, if it is a file of this machine.
    pub fn local_dockerfile(&self) -> Option<PathBuf> {
        let file = self.dockerfile.as_deref().unwrap_or("Dockerfile");
        let is_local = self.inline.is_none() && !is_remote(file);
        let context = self.local_context().filter(|_| is_local)?;
        let path = context.join(file);
        // Whoever reads it knows no `./`.
        Some(
            path.components()
                .filter(|part| *part != Component::CurDir)
                .collect(),
        )
    }

    /// The arguments after `build`.
    pub fn arguments(&self, places: Places<'_>) -> Vec<String> {
        let mut out = Vec::new();
        let mut flag = |name: &str, value: &str| out.push(format!("--{name}={value}"));
        if let Some(file) = places.inline.map(|path| path.display().to_string()) {
            flag("file", &file);
        } else if let Some(file) = &self.dockerfile {
            flag("file", &self.dockerfile_path(file));
        }
        for (name, value) in &self.args {
            match value {
                Some(value) => flag("build-arg", &format!("{name}={value}")),
                None => flag("build-arg", name),
            }
        }
        for (name, value) in &self.labels {
            flag("label", &format!("{name}={value}"));
        }
        for (name, value) in &self.contexts {
            let value = match value.strip_prefix("target:") {
                Some(other) => format!("oci-layout://{}", places.images.join(other).display()),
                None => value.clone(),
            };
            flag("build-context", &format!("{name}={value}"));
        }
        if !self.platforms.is_empty() {
            flag("platform", &self.platforms.join(","));
        }
        let lists = [
            ("tag", &self.tags),
            ("annotation", &self.annotations),
            ("cache-from", &self.cache_from),
            ("cache-to", &self.cache_to),
            ("output", &self.output),
            ("ssh", &self.ssh),
            ("add-host", &self.extra_hosts),
            ("ulimit", &self.ulimits),
            ("allow", &self.allow),
            ("no-cache-filter", &self.no_cache_filter),
        ];
        for (name, values) in lists {
            values.iter().for_each(|value| flag(name, value));
        }
        self.secrets
            .iter()
            .for_each(|secret| flag("secret", &secret.spec()));
        let words = [
            ("target", &self.target),
            ("network", &self.network),
            ("shm-size", &self.shm_size),
        ];
        for (name, value) in words {
            if let Some(value) = value {
                flag(name, value);
            }
        }
        if let Some(no_cache) = self.no_cache {
            flag("no-cache", &no_cache.to_string());
        }
        out.push(self.context.clone());
        out
    }

    /// The Dockerfile as the command line wants it: a path of the working directory, or one in a remote context.
    fn dockerfile_path(&self, file: &str) -> String {
        if is_remote(&self.context) || is_remote(file) || Path::new(file).is_absolute() {
            return file.to_owned();
        }
        PathBuf::from(&self.context)
            .join(file)
            .display()
            .to_string()
    }
}

/// Whether a context is no directory here.
pub(super) fn is_remote(context: &str) -> bool {
    context.contains("://") || context.starts_with("git@") || context == "-"
}

/// An output that keeps a target's image for others, as `--output` takes it.
pub fn layout_output(path: &Path) -> String {
    format!(
        "type=oci,tar=false,{}",
        field(&format!("dest={}", path.display()))
    )
}
