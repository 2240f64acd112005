//! What has to hold for any bytes. Each module has a `check` that panics if it does not.
//!
//! The fuzz targets call these with whatever libFuzzer comes up with; tests of the crates call the same functions with their
//! corpora, on a compiler that needs no instrumentation.

pub mod archive;
pub mod dockerfile;
pub mod documents;
pub mod patterns;
pub mod words;
