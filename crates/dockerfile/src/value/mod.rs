//! Small values inside instructions: durations, ports, signals, modes, owners, sizes, and Go's way to print.

pub mod duration;
pub mod mode;
pub mod owner;
pub mod port;
pub mod quote;
pub mod signal;
pub mod size;
