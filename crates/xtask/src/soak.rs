//! `cargo xtask soak`: real builds against a registry that fails at random, all of which have to succeed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use clap::Args;
use tempfile::TempDir;
use yadokari_testkit::tap::{Behaviour, Counts, Faults};
use yadokari_testkit::{Registry, Tap, base, cache, executor, process, registry, validate};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many builds
    #[arg(long, default_value_t = 100)]
    builds: u32,
    /// How many requests of a hundred fail
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(0..=90))]
    rate: u8,
    /// Seed of the lot, as an earlier run printed it (default: another one each time)
    #[arg(long)]
    seed: Option<u64>,
    /// Builds at a time
    #[arg(short, long, default_value_t = 4)]
    jobs: u32,
}

impl Options {
    /// A few builds, for the gate.
    pub(crate) fn brief() -> Self {
        Self {
            builds: 5,
            rate: 20,
            seed: None,
            jobs: 5,
        }
    }
}

/// Everything that all builds share.
struct Ground {
    executor: PathBuf,
    registry: Registry,
    tap: Tap,
    context: TempDir,
    /// Numbers of builds that are still to be done.
    next: AtomicU32,
    builds: u32,
}

/// Two stages, a RUN in each, and a layer that is large enough to be cut.
const DOCKERFILE: &str = "FROM busybox AS build
ARG NUMBER
RUN echo \"$NUMBER\" > /number && head -c 2000000 /dev/urandom > /data
FROM busybox
COPY --from=build /number /data /app/
RUN chmod 755 /app/number
CMD [\"cat\", \"/app/number\"]
";

pub(crate) fn run(options: &Options) -> Result<()> {
    let seed = options.seed.unwrap_or_else(new_seed);
    println!(
        "{} builds, {} % of all requests fail, --seed {seed}",
        options.builds, options.rate
    );
    let ground = Ground::prepare(options, seed)?;
    let start = Instant::now();
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, options.builds) {
            scope.spawn(|| ground.work(&failures));
        }
    });
    let failures = failures
        .into_inner()
        .expect("no thread panics with the lock");
    show(&ground.tap.take_counts());
    for failure in &failures {
        println!("{failure:#}");
    }
    let good = options.builds as usize - failures.len();
    println!(
        "{good} of {} builds succeeded in {:.0} s",
        options.builds,
        start.elapsed().as_secs_f64()
    );
    ensure!(failures.is_empty(), "run it again with --seed {seed}");
    Ok(())
}

impl Ground {
    fn prepare(options: &Options, seed: u64) -> Result<Self> {
        let registry = Registry::start(registry::Options::default())?;
        registry
            .endpoint()
            .push(&base::busybox()?, "library/busybox", "latest")?;
        let faults = Faults {
            rate: options.rate,
            seed,
        };
        let behaviour = Behaviour {
            faults: Some(faults),
            ..Behaviour::default()
        };
        let context = tempfile::tempdir_in(cache::target())?;
        std::fs::write(context.path().join("Dockerfile"), DOCKERFILE)?;
        Ok(Self {
            executor: executor::path()?,
            tap: Tap::start(registry.port(), behaviour)?,
            registry,
            context,
            next: AtomicU32::new(0),
            builds: options.builds,
        })
    }

    /// Does builds until none is left.
    fn work(&self, failures: &Mutex<Vec<anyhow::Error>>) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.builds {
                return;
            }
            if let Err(failure) = self
                .build(number)
                .with_context(|| format!("build {number}"))
            {
                failures
                    .lock()
                    .expect("no thread panics with the lock")
                    .push(failure);
            }
        }
    }

    /// One build on a machine that knows nothing; the image in the registry itself has to be sound.
    fn build(&self, number: u32) -> Result<()> {
        let state = tempfile::tempdir_in(cache::target())?;
        let mut command = self.command(number, state.path());
        let done = process::finish(&mut command)?;
        ensure!(done.status == 0, "status {}:\n{}", done.status, done.output);
        let endpoint = self.registry.endpoint();
        validate::pushed(&endpoint, "soak/app", &format!("n{number}")).map(drop)
    }

    fn command(&self, number: u32, state: &Path) -> Command {
        let address = self.tap.address();
        let mut command = Command::new(&self.executor);
        command.arg("build").arg(self.context.path());
        command.args(["--push", "--cache", "--isolation", "namespaces"]);
        command.args(["--registry-mirror", &address]);
        command.args(["--tag", &format!("{address}/soak/app:n{number}")]);
        command.args(["--cache-repo", &format!("{address}/soak/cache")]);
        // Every other build finds the layers of the one before in the cache.
        command.args(["--build-arg", &format!("NUMBER={}", number / 2)]);
        command.arg("--state-dir").arg(state);
        command
    }
}

fn show(counts: &Counts) {
    println!(
        "{} connections, {} requests, {:.1} MB sent, {:.1} MB received",
        counts.connections,
        counts.total(),
        counts.sent as f64 / 1e6,
        counts.received as f64 / 1e6
    );
    for (kind, number) in &counts.faults {
        println!("  {number:>5} {kind}");
    }
}

fn new_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(1, |since| u64::from(since.subsec_nanos()))
}
