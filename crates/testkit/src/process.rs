//! Running programs to their end, and keeping servers for as long as a test needs them.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// What a program left behind: its exit status and both of its streams, in the order they were written.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The exit status; 128 + n for a program ended by signal n.
    pub status: i32,
    /// Standard output followed by standard error, or both as they came, where one pipe carried them.
    pub output: String,
}

impl Finished {
    /// Gives itself back if the status is 0.
    ///
    /// # Panics
    ///
    /// With the whole output, if the program failed.
    pub fn success(self) -> Self {
        assert_eq!(self.status, 0, "the program failed:\n{}", self.output);
        self
    }
}

/// Runs a program to its end and returns its standard output.
///
/// # Errors
///
/// If it cannot be started or does not exit with 0; the message holds the command line and standard error.
pub fn run(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        bail!(
            "{} ended with {}:\n{}{}",
            line(command),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program to its end, whatever the end is.
///
/// # Errors
///
/// Only if it cannot be started.
pub fn finish(command: &mut Command) -> Result<Finished> {
    let output = output(command)?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok(Finished {
        status: status(output.status),
        output: text,
    })
}

/// Runs a program with standard input closed and both streams captured.
///
/// # Errors
///
/// Only if it cannot be started.
pub fn output(command: &mut Command) -> Result<Output> {
    command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", line(command)))
}

/// Whether a program of that name is on the search path.
#[must_use]
pub fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Asks `ready` every few milliseconds until it answers yes.
///
/// # Errors
///
/// When `limit` has passed; the message names `what` was awaited.
pub fn wait_until(
    what: &str,
    limit: Duration,
    mut ready: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let end = Instant::now() + limit;
    while !ready()? {
        if Instant::now() > end {
            bail!("waited {limit:?} in vain: {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A server process, stopped by its own id when dropped: SIGTERM first, SIGKILL if it does not listen.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: std::fs::File,
    name: String,
}

impl Server {
    /// Starts a server that writes both of its streams to the file `log`.
    ///
    /// # Errors
    ///
    /// If the log cannot be made or the program cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let file = std::fs::File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(log);
        let file = file.with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file.try_clone()?)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            child,
            log: file,
            name,
        })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready` says yes.
    ///
    /// # Errors
    ///
    /// If the server ends before that or takes longer than `limit`; the message holds its log.
    pub fn wait_until(&mut self, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let (child, name) = (&mut self.child, &self.name);
        let waited = wait_until(&format!("{name} is ready"), limit, || {
            match child.try_wait()? {
                Some(status) => bail!("{name} ended with {status}"),
                None => Ok(ready()),
            }
        });
        waited.with_context(|| format!("log of {}:\n{}", self.name, self.log_text()))
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// If the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// What it has written so far.
    #[must_use]
    pub fn log_text(&self) -> String {
        let mut text = Vec::new();
        let mut log = &self.log;
        let read = log
            .seek(SeekFrom::Start(0))
            .and_then(|_| log.read_to_end(&mut text));
        match read {
            Ok(_) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => format!("(cannot read the log: {error})"),
        }
    }

    /// Stops the process and waits for its end.
    pub fn stop(&mut self) {
        let gone = |child: &mut Child| Ok(child.try_wait()?.is_some());
        let _ = self.signal(Signal::TERM);
        if wait_until("end", Duration::from_secs(15), || gone(&mut self.child)).is_err() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The exit status as a shell has it.
pub(crate) fn status(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// The command as a reader would type it, for messages.
fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(|word| word.to_string_lossy()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_an_error_that_holds_its_words() {
        let error =
            run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("out") && text.contains("err") && text.contains('3'),
            "{text}"
        );
    }

    #[test]
    fn a_signal_counts_as_128_and_its_number() {
        let finished = finish(Command::new("sh").args(["-c", "kill -TERM $$"])).unwrap();
        assert_eq!(finished.status, 143);
    }

    #[test]
    fn a_dropped_server_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start(
            Command::new("sleep").arg("1000"),
            &directory.path().join("log"),
        )
        .unwrap();
        let process = std::path::PathBuf::from(format!("/proc/{}", server.id()));
        assert!(process.exists());
        drop(server);
        assert!(!process.exists());
    }

    #[test]
    fn a_server_that_ends_early_is_an_error_with_its_log() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let mut server = Server::start(
            Command::new("sh").args(["-c", "echo no port; exit 1"]),
            &log,
        )
        .unwrap();
        let error = server
            .wait_until(Duration::from_secs(5), || false)
            .unwrap_err();
        assert!(format!("{error:#}").contains("no port"), "{error:#}");
    }
}
