//! Plans of whole Dockerfiles, through the public interface.

#[cfg(test)]
mod case;
#[cfg(test)]
mod data;
#[cfg(test)]
mod epochs;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod fuzzed;
#[cfg(test)]
mod graph;
#[cfg(test)]
mod inputs;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod lints;
#[cfg(test)]
mod metadata;
#[cfg(test)]
mod rekeys;
#[cfg(test)]
mod scopes;
#[cfg(test)]
mod survival;
