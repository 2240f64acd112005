//! Caches in a directory and in a registry, through the public interface.

#[cfg(test)]
mod directory;
#[cfg(test)]
mod registry;
#[cfg(test)]
mod sample;
