//! What tells one cache mount from another.

use std::fmt::{self, Display};

use sha2::{Digest as _, Sha256};
use yadokari_image::Platform;

/// Everything that makes two mounts the same cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountIdentity {
    /// The namespace of ids, as the build argument `BUILDKIT_CACHE_MOUNT_NS` gives it.
    pub namespace: String,
    /// The mount's `id`, or its target where it has none.
    pub id: String,
    /// What its first content comes from; empty where it starts empty.
    pub seed: String,
    /// The platform of the stage: compiled files of one are of no use to another.
    pub platform: Platform,
}

/// The name of a cache mount: a hash of its identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MountName(String);

impl MountIdentity {
    /// The mount's name, the same wherever the identity is.
    #[must_use]
    pub fn name(&self) -> MountName {
        let mut hasher = Sha256::new();
        let platform = self.platform.to_string();
        for part in [&self.namespace, &self.id, &self.seed, &platform] {
            // Lengths come first, so that no two lists of parts are the same bytes.
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let digest: [u8; 32] = hasher.finalize().into();
        MountName(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl MountName {
    /// The 64 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for MountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(parts: [&str; 3], platform: &str) -> MountIdentity {
        let [namespace, id, seed] = parts.map(str::to_owned);
        MountIdentity {
            namespace,
            id,
            seed,
            platform: Platform::parse(platform).unwrap(),
        }
    }

    #[test]
    fn every_part_counts_and_none_runs_into_the_next() {
        let names: std::collections::BTreeSet<MountName> = [
            identity(["", "npm", ""], "linux/amd64"),
            identity(["n", "pm", ""], "linux/amd64"),
            identity(["", "np", "m"], "linux/amd64"),
            identity(["npm", "", ""], "linux/amd64"),
            identity(["", "npm", ""], "linux/arm64"),
        ]
        .iter()
        .map(MountIdentity::name)
        .collect();
        assert_eq!(names.len(), 5);
        assert!(names.iter().all(|name| name.as_str().len() == 64));
    }
}
