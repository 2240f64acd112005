//! One container: described, created, run, looked at, removed.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, kill_process};

use super::Docker;
use crate::listing::Listing;
use crate::process::{self, Finished, Signal};

/// A container to be: image, environment, volumes, command.
#[derive(Debug)]
pub struct Spec<'d> {
    docker: &'d Docker,
    image: String,
    flags: Vec<String>,
    words: Vec<String>,
}

impl<'d> Spec<'d> {
    pub(super) fn new(docker: &'d Docker, image: &str) -> Self {
        Self {
            docker,
            image: image.into(),
            flags: vec!["--network=host".into()],
            words: Vec::new(),
        }
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(self, name: &str, value: &str) -> Self {
        self.flag(&format!("--env={name}={value}"))
    }

    /// Mounts a directory of the machine.
    #[must_use]
    pub fn volume(self, from: &Path, to: &str) -> Self {
        self.flag(&format!("--volume={}:{to}", from.display()))
    }

    /// Replaces the image's entry point.
    #[must_use]
    pub fn entrypoint(self, program: &str) -> Self {
        self.flag(&format!("--entrypoint={program}"))
    }

    /// Leaves the machine's network, which containers with user namespaces may not share, for none.
    #[must_use]
    pub fn without_network(mut self) -> Self {
        self.flags.retain(|flag| flag != "--network=host");
        self.flag("--network=none")
    }

    /// Adds any flag of `docker create`.
    #[must_use]
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Adds words to the command line inside the container.
    #[must_use]
    pub fn args<S: AsRef<str>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.words
            .extend(words.into_iter().map(|word| word.as_ref().to_string()));
        self
    }

    /// Creates the container without starting it.
    ///
    /// # Errors
    ///
    /// If docker refuses.
    pub fn create(self) -> Result<Container<'d>> {
        let mut command = self.docker.command();
        command
            .arg("create")
            .args(&self.flags)
            .arg(&self.image)
            .args(&self.words);
        let id = process::run(&mut command)?.trim().to_string();
        Ok(Container {
            docker: self.docker,
            id,
        })
    }

    /// Creates the container and starts it in the background.
    ///
    /// # Errors
    ///
    /// If docker refuses.
    pub fn start(self) -> Result<Container<'d>> {
        let container = self.create()?;
        container.run_docker(&["start"])?;
        Ok(container)
    }

    /// Creates the container, runs it to its end, and returns it with what it said.
    ///
    /// # Errors
    ///
    /// If docker refuses.
    pub fn run(self) -> Result<(Container<'d>, Finished)> {
        let container = self.create()?;
        let running = container.attach()?;
        let finished = running.wait()?;
        Ok((container, finished))
    }
}

/// A container; it is removed, whatever its state, when dropped.
#[derive(Debug)]
pub struct Container<'d> {
    docker: &'d Docker,
    id: String,
}

impl Container<'_> {
    /// The container's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Starts a created container and follows its output.
    ///
    /// # Errors
    ///
    /// If docker cannot be started.
    pub fn attach(&self) -> Result<Running> {
        Running::new(self.docker.command().args(["start", "--attach", &self.id]))
    }

    /// Runs a command in the running container to its end.
    ///
    /// # Errors
    ///
    /// If docker cannot be started; what the command says or how it ends is no error.
    pub fn exec(&self, words: &[&str]) -> Result<Finished> {
        self.spawn(words)?.wait()
    }

    /// Starts a command in the running container and follows its output.
    ///
    /// # Errors
    ///
    /// If docker cannot be started.
    pub fn spawn(&self, words: &[&str]) -> Result<Running> {
        Running::new(self.docker.command().args(["exec", &self.id]).args(words))
    }

    /// Sends a signal, as `TERM`, to the container's first process.
    ///
    /// # Errors
    ///
    /// If the container does not run.
    pub fn kill(&self, signal: &str) -> Result<()> {
        process::run(
            self.docker
                .command()
                .args(["kill", "--signal", signal, &self.id]),
        )
        .map(drop)
    }

    /// Sends a signal to every process of the container whose command line contains `words`; gives their number.
    ///
    /// The signal is sent from outside, since inside the tools for it may be swapped away.
    ///
    /// # Errors
    ///
    /// If the container does not run.
    pub fn signal(&self, signal: Signal, words: &str) -> Result<usize> {
        let mut count = 0;
        for line in self
            .run_docker_with(&["top"], &["-eo", "pid,args"])?
            .lines()
            .skip(1)
        {
            let (id, command) = line.trim().split_once(' ').unwrap_or((line, ""));
            if command.contains(words) {
                let id = id
                    .parse()
                    .ok()
                    .and_then(Pid::from_raw)
                    .context("no process id in docker top")?;
                kill_process(id, signal)?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Every file of the container's own root filesystem; mounted filesystems and volumes are not in it.
    ///
    /// # Errors
    ///
    /// If docker cannot export it.
    pub fn listing(&self) -> Result<Listing> {
        let mut command = self.docker.command();
        let mut child = command
            .args(["export", &self.id])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut archive = child.stdout.take().context("docker export has no output")?;
        let listing = Listing::of_tar(&mut archive);
        std::io::copy(&mut archive, &mut std::io::sink())?;
        ensure!(child.wait()?.success(), "docker export failed");
        listing
    }

    /// The id that the machine knows the running container's first process by.
    ///
    /// # Errors
    ///
    /// If the container does not run.
    pub fn process(&self) -> Result<u32> {
        let id = self.run_docker(&["inspect", "--format", "{{.State.Pid}}"])?;
        let id = id
            .trim()
            .parse()
            .context("no process id in docker inspect")?;
        ensure!(id != 0, "the container does not run");
        Ok(id)
    }

    /// The mount table of the running container: mount point, type and options of each line, in order.
    ///
    /// # Errors
    ///
    /// If the container does not run.
    pub fn mounts(&self) -> Result<Vec<String>> {
        let path = format!("/proc/{}/mountinfo", self.process()?);
        let table =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let line = |text: &str| text.split(' ').skip(3).collect::<Vec<_>>().join(" ");
        Ok(table.lines().map(line).collect())
    }

    fn run_docker(&self, words: &[&str]) -> Result<String> {
        self.run_docker_with(words, &[])
    }

    fn run_docker_with(&self, words: &[&str], more: &[&str]) -> Result<String> {
        process::run(self.docker.command().args(words).arg(&self.id).args(more))
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = self.run_docker(&["rm", "--force", "--volumes"]);
    }
}

/// A program whose output is followed while it runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts a program and follows its output.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn new(command: &mut Command) -> Result<Self> {
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start the program")?;
        let output = Arc::new(Mutex::new(String::new()));
        let mut readers = vec![follow(child.stdout.take().context("no output")?, &output)];
        readers.push(follow(child.stderr.take().context("no output")?, &output));
        Ok(Self {
            child,
            output,
            readers,
        })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What was said so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.output
            .lock()
            .expect("no reader panics while it holds the lock")
            .clone()
    }

    /// Waits until the output contains `text`.
    ///
    /// # Errors
    ///
    /// If the program ends before it says so, or says nothing of it within `limit`.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> Result<()> {
        let (child, output) = (&mut self.child, &self.output);
        let contains = || output.lock().is_ok_and(|said| said.contains(text));
        let waited = process::wait_until(&format!("`{text}` in the output"), limit, || {
            let ended = child.try_wait()?;
            ensure!(
                contains() || ended.is_none(),
                "ended before it said `{text}`"
            );
            Ok(contains())
        });
        waited.with_context(|| format!("output:\n{}", self.output()))
    }

    /// Waits for the end.
    ///
    /// # Errors
    ///
    /// If the process cannot be waited for.
    pub fn wait(mut self) -> Result<Finished> {
        let status = self.child.wait()?;
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        Ok(Finished {
            status: process::status(status),
            output: self.output(),
        })
    }
}

fn follow(stream: impl Read + Send + 'static, output: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let output = Arc::clone(output);
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines
            .read_until(b'\n', &mut line)
            .is_ok_and(|count| count > 0)
        {
            let text = String::from_utf8_lossy(&line).into_owned();
            output
                .lock()
                .expect("no reader panics while it holds the lock")
                .push_str(&text);
            line.clear();
        }
    })
}
