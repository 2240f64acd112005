//! Runs one command from a JSON spec: the executable that the tests use as caller and as helper.
//!
//! `driver run <isolation> <state-dir> <spec.json>`, `driver probe <state-dir>`,
//! `driver overlay <state-dir>`, `driver recover <state-dir>`,
//! `driver as-user -- <words of another call>`, `driver reach <pid>`, `driver entries <directory>`, `driver who`, `driver listen`.

mod entries;
mod reach;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use yadokari_sandbox::{
    Cancel, Confinement, HELPER_ARGUMENT, Isolation, RunSpec, Runner as _, Sandbox, Settings,
    Stream, UserNamespace, enter_user_namespace, helper_main, probe, recover,
};

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    if words.first().is_some_and(|word| word == HELPER_ARGUMENT) {
        return helper_main(words.into_iter().skip(1));
    }
    let mut words: Vec<String> = words
        .into_iter()
        .map(|word| word.into_string().unwrap_or_default())
        .collect();
    if words.first().is_some_and(|word| word == "as-user") {
        match enter_user_namespace(&UserNamespace::default()) {
            Ok(map) => say(&format!("map: {map:?}")),
            Err(error) => return fail(&error),
        }
        words.drain(..2);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["run", isolation, state_dir, spec] => run(isolation, state_dir, spec),
        ["probe", state_dir] => {
            say(&format!("{:#?}", probe(&Settings::new(*state_dir))));
            ExitCode::SUCCESS
        }
        ["overlay", state_dir] => {
            let sandbox = Sandbox::new(Isolation::Namespaces, Settings::new(*state_dir));
            let answer = format!("{:?}\n", sandbox.overlay());
            let _ = std::io::stdout().write_all(answer.as_bytes());
            ExitCode::SUCCESS
        }
        ["recover", state_dir] => match recover(state_dir.as_ref()) {
            Ok(recovered) => {
                say(&format!("{recovered:?}"));
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error),
        },
        ["reach", pid] => {
            let found = reach::everything(pid.parse().unwrap_or(1));
            let _ = std::io::stdout().write_all(found.as_bytes());
            ExitCode::SUCCESS
        }
        ["entries", directory] => {
            let found = entries::everything(std::path::Path::new(directory));
            let _ = std::io::stdout().write_all(found.as_bytes());
            ExitCode::SUCCESS
        }
        ["who"] => {
            let user = format!("{}\n", nix::unistd::geteuid());
            let _ = std::io::stdout().write_all(user.as_bytes());
            ExitCode::SUCCESS
        }
        ["listen"] => reach::listen(),
        _ => ExitCode::from(2),
    }
}

fn run(isolation: &str, state_dir: &str, spec: &str) -> ExitCode {
    let isolation = Isolation::ALL
        .into_iter()
        .find(|known| known.name() == isolation);
    let text = std::fs::read(spec);
    let (Some(isolation), Ok(text)) = (isolation, text) else {
        return ExitCode::from(2);
    };
    let spec: RunSpec = match serde_json::from_slice(&text) {
        Ok(spec) => spec,
        Err(error) => return fail(&error),
    };
    let mut settings = Settings::new(state_dir);
    settings.confinement = Confinement::Root;
    let sandbox = Sandbox::new(isolation, settings);
    let mut output = |stream: Stream, bytes: &[u8]| {
        let _ = match stream {
            Stream::Stdout => std::io::stdout().write_all(bytes),
            Stream::Stderr => std::io::stderr().write_all(bytes),
        };
    };
    match sandbox.run(&spec, &mut output, &cancelled_by_interrupt()) {
        Ok(exit) => {
            for note in &exit.notes {
                say(&format!("note: {note}"));
            }
            ExitCode::from(u8::try_from(exit.code).unwrap_or(255))
        }
        Err(error) => fail(&error),
    }
}

/// The flag that SIGINT and SIGTERM set.
fn cancelled_by_interrupt() -> Cancel {
    static FLAG: std::sync::OnceLock<Arc<AtomicBool>> = std::sync::OnceLock::new();
    extern "C" fn set(_: i32) {
        if let Some(flag) = FLAG.get() {
            flag.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let flag = FLAG.get_or_init(Arc::default).clone();
    for signal in [
        nix::sys::signal::Signal::SIGINT,
        nix::sys::signal::Signal::SIGTERM,
    ] {
        install(signal, set);
    }
    Cancel::from_flag(flag)
}

#[expect(unsafe_code, reason = "a handler has no safe form")]
fn install(signal: nix::sys::signal::Signal, handler: extern "C" fn(i32)) {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, sigaction};
    let action = SigAction::new(
        SigHandler::Handler(handler),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    // SAFETY: the handler does one atomic store on a value that is initialised before and never dropped.
    let _ = unsafe { sigaction(signal, &action) };
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    say(&format!("error: {error}"));
    ExitCode::from(125)
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
