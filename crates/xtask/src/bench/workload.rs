//! What is built.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use yadokari_testkit::base;

use super::builder::Bench;

/// One Dockerfile with its context.
#[derive(Debug)]
pub(super) struct Workload {
    pub(super) name: &'static str,
    dockerfile: String,
    /// How many files the context holds besides the Dockerfile, and the bytes of all.
    files: (usize, usize),
    /// A file that is changed for a build in which all else is cached.
    pub(super) leaf: Option<&'static str>,
}

/// The names of all workloads.
pub(super) const NAMES: [&str; 6] = ["steps", "heavy", "stages", "copies", "copyonly", "big"];

/// The workloads of the given names, or all.
pub(super) fn chosen(names: &[String]) -> Result<Vec<Workload>> {
    let wanted = NAMES
        .into_iter()
        .filter(|name| names.is_empty() || names.iter().any(|chosen| chosen == name));
    wanted.map(named).collect()
}

fn named(name: &'static str) -> Result<Workload> {
    let workload = |dockerfile: String| Workload {
        name,
        dockerfile,
        files: (0, 0),
        leaf: None,
    };
    let debian = format!("FROM debian:{}\n", base::SUITE);
    Ok(match name {
        "steps" => workload(debian + &steps()),
        "heavy" => workload(debian + HEAVY),
        "stages" => workload(stages(&debian)),
        "copies" => Workload {
            files: (50_000, 300_000_000),
            leaf: Some("files/0/0"),
            ..workload(debian + "COPY files /srv/files\nRUN ls /srv/files > /srv/list\n")
        },
        "copyonly" => Workload {
            files: (1, 100),
            leaf: Some("files/0/0"),
            ..workload(
                debian + "COPY files/0/0 /srv/file\nENTRYPOINT [\"/bin/cat\", \"/srv/file\"]\n",
            )
        },
        "big" => workload(
            "FROM busybox\nRUN dd if=/dev/urandom of=/big bs=1M count=2048 2>/dev/null\n".into(),
        ),
        other => anyhow::bail!("there is no workload {other}"),
    })
}

/// One RUN makes 50,000 one-line files in 500 directories, then 20 touch one file each.
fn steps() -> String {
    let mut text = String::from(
        "RUN for d in $(seq 500); do mkdir -p /data/$d; for f in $(seq 100); do echo \"$d $f\" > /data/$d/$f; done; done\n",
    );
    for step in 1..=20 {
        text.push_str(&format!("RUN echo {step} > /etc/step{step}\n"));
    }
    text
}

/// Copies of what the base holds, a removal, tiny steps, and a copy of the copy.
const HEAVY: &str = "\
RUN mkdir -p /opt/a && cp -a /usr/share /usr/lib /opt/a
RUN rm -rf /opt/a/share/locale /opt/a/share/doc
RUN echo one > /etc/one
RUN echo two > /etc/two
RUN cp -a /opt/a /opt/b
";

/// Four stages that wait, and one that takes a file of each.
fn stages(debian: &str) -> String {
    let mut text = String::new();
    for stage in 1..=4 {
        text.push_str(&debian.replace('\n', &format!(" AS s{stage}\n")));
        text.push_str(&format!("RUN sleep 5 && echo {stage} > /out{stage}\n"));
    }
    text.push_str(debian);
    for stage in 1..=4 {
        text.push_str(&format!("COPY --from=s{stage} /out{stage} /\n"));
    }
    text
}

impl Workload {
    /// Writes the context to a fresh directory.
    pub(super) fn write(&self, bench: &Bench) -> Result<PathBuf> {
        let place = tempfile::Builder::new()
            .prefix(self.name)
            .tempdir_in(bench.scratch.path())?
            .keep();
        std::fs::write(place.join("Dockerfile"), &self.dockerfile)?;
        let (count, bytes) = self.files;
        for number in 0..count {
            write_file(&place, number, bytes / count)
                .with_context(|| format!("cannot write the context of {}", self.name))?;
        }
        Ok(place)
    }
}

/// A file that is neither all the same nor impossible to compress, 100 in a directory.
fn write_file(place: &Path, number: usize, size: usize) -> std::io::Result<()> {
    let folder = place.join("files").join((number / 100).to_string());
    if number.is_multiple_of(100) {
        std::fs::create_dir_all(&folder)?;
    }
    let mut state = number as u64 + 1;
    let mut text = String::with_capacity(size + 20);
    while text.len() < size {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!("line {:x}\n", state >> 44));
    }
    text.truncate(size);
    std::fs::write(folder.join((number % 100).to_string()), text)
}
