//! The executable: answers as `yadokari`, `executor` or `warmer`, by the name it is started under.

use std::process::ExitCode;

use yadokari::environment::Environment;
use yadokari_sandbox::{HELPER_ARGUMENT, conceal_environment, helper_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The sandbox starts this executable again for each RUN; that process must have one thread and touch nothing else.
    let mut arguments = std::env::args_os().skip(1);
    if arguments
        .next()
        .is_some_and(|first| first == HELPER_ARGUMENT)
    {
        return helper_main(arguments);
    }
    conceal_environment();
    // With huge pages the allocator takes twice the memory. Commands get theirs back.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // A provider that is already there is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    yadokari::run(&Environment::read())
}
