//! Spans of a build's work, for whoever listens to `tracing`.
//!
//! Work that is waited for is a span below the step that waits. Work that goes on beside the steps is below the build.

use tracing::Span;

/// A span named after a kind of work, with what it works on; below the current one.
macro_rules! work_span {
    ($kind:literal, $($what:tt)+) => {
        tracing::info_span!(target: "yadokari::work", $kind, what = %format_args!($($what)+))
    };
}
pub(crate) use work_span;

/// A span for work that nobody waits for, below that of the whole build.
macro_rules! beside_span {
    ($work:expr, $kind:literal, $($what:tt)+) => {
        tracing::info_span!(target: "yadokari::work", parent: &$work.span, $kind, what = %format_args!($($what)+))
    };
}
pub(crate) use beside_span;

/// A closure that runs inside a span, on whatever thread.
pub(crate) fn inside<T>(span: Span, work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    move || span.in_scope(work)
}
