//! Caches in a directory and in a registry, through the public interface.

#[cfg(test)]
mod directory;
#[cfg(test)]
mod keeping;
#[cfg(test)]
mod mounts;
#[cfg(test)]
mod registry;
#[cfg(test)]
mod sample;
