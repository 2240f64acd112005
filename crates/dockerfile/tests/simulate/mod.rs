//! A planner just good enough to make the history rows of one stage, so that expansion can be compared with
//! recorded builds.

use serde_json::Value;
use yadokari_dockerfile::instruction::{Command, Copy, Pair, Sources};
use yadokari_dockerfile::value::port;
use yadokari_dockerfile::value::quote::{plain_list, quoted_list};
use yadokari_dockerfile::{Dockerfile, Expander, Instruction};

struct Stage<'a> {
    escape: char,
    environment: Vec<(String, String)>,
    global: Vec<(String, String)>,
    arguments: Vec<String>,
    shell: Vec<String>,
    build_args: &'a Value,
    rows: Vec<String>,
}

/// The rows of the last stage, or `None` if it depends on what stands outside the file.
pub(crate) fn history(dockerfile: &Dockerfile, case: &Value) -> Option<Vec<String>> {
    let last = dockerfile.stages.last()?;
    let depends = case.get("target").is_some() || last.base.contains('$');
    if depends || !matches!(last.base.as_str(), "scratch" | "busybox") {
        return None;
    }
    let mut stage = Stage {
        escape: dockerfile.escape,
        environment: vec![(
            "PATH".into(),
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
        )],
        global: Vec::new(),
        arguments: Vec::new(),
        shell: vec!["/bin/sh".into(), "-c".into()],
        build_args: &case["args"],
        rows: Vec::new(),
    };
    for arg in &dockerfile.global_args {
        for declaration in &arg.value.declarations {
            let given = stage.build_args[&declaration.name]
                .as_str()
                .map(str::to_owned);
            let value = match (given, &declaration.default) {
                (Some(given), _) => Some(given),
                (None, Some(default)) => {
                    let global = stage.global.clone();
                    let lookup = |name: &str| find(&global, name);
                    Some(
                        Expander::new(dockerfile.escape, &lookup)
                            .expand_word(default)
                            .ok()?
                            .value,
                    )
                }
                (None, None) => None,
            };
            stage
                .global
                .extend(value.map(|value| (declaration.name.clone(), value)));
        }
    }
    if dockerfile.global_args.is_empty() && format!("{last:?}").contains("TARGET")
        || format!("{last:?}").contains("BUILDPLATFORM")
    {
        return None;
    }
    for instruction in &last.instructions {
        stage.run(&instruction.value)?;
    }
    Some(stage.rows)
}

fn find(pairs: &[(String, String)], name: &str) -> Option<String> {
    pairs
        .iter()
        .rfind(|(known, _)| known == name)
        .map(|(_, value)| value.clone())
}

impl Stage<'_> {
    fn expand(&self, word: &str) -> Option<String> {
        let lookup = |name: &str| find(&self.environment, name);
        Some(
            Expander::new(self.escape, &lookup)
                .expand_word(word)
                .ok()?
                .value,
        )
    }

    fn set(&mut self, name: &str, value: String) {
        match self.environment.iter_mut().find(|(known, _)| known == name) {
            Some(slot) => slot.1 = value,
            None => self.environment.push((name.to_owned(), value)),
        }
    }

    fn run(&mut self, instruction: &Instruction) -> Option<()> {
        let row = match instruction {
            Instruction::Env(env) => {
                let pairs = self.pairs(&env.pairs)?;
                pairs
                    .iter()
                    .for_each(|(name, value)| self.set(name, value.clone()));
                format!("ENV {}", joined(&pairs))
            }
            Instruction::Label(label) => format!("LABEL {}", joined(&self.pairs(&label.pairs)?)),
            Instruction::Arg(arg) => {
                let mut words = Vec::new();
                for declaration in &arg.declarations {
                    words.push(self.declare(&declaration.name, declaration.default.as_deref())?);
                }
                format!("ARG {}", words.join(" "))
            }
            Instruction::Cmd(cmd) => format!("CMD {}", quoted_list(&self.argv(&cmd.command))),
            Instruction::Entrypoint(entry) => {
                format!("ENTRYPOINT {}", quoted_list(&self.argv(&entry.command)))
            }
            Instruction::Shell(shell) => {
                self.shell.clone_from(&shell.shell);
                format!("SHELL {}", plain_list(&shell.shell))
            }
            Instruction::Expose(expose) => {
                format!("EXPOSE {}", plain_list(&self.ports(&expose.words)?))
            }
            Instruction::Volume(volume) => {
                let paths: Option<Vec<String>> =
                    volume.paths.iter().map(|path| self.expand(path)).collect();
                format!("VOLUME {}", plain_list(&paths?))
            }
            Instruction::User(user) => format!("USER {}", self.expand(&user.user)?),
            Instruction::StopSignal(signal) => {
                format!("STOPSIGNAL {}", self.expand(&signal.signal)?)
            }
            Instruction::Maintainer(maintainer) => format!("MAINTAINER {}", maintainer.name),
            Instruction::Healthcheck(check) => format!("HEALTHCHECK {}", check.history()),
            Instruction::Copy(Copy {
                sources,
                chown,
                chmod,
                parents,
                ..
            }) => {
                let prefix = if *parents { "COPY --parents" } else { "COPY" };
                self.copied(prefix, sources, chown.as_deref(), chmod.as_deref())?
            }
            Instruction::Add(add) => self.copied(
                "ADD",
                &add.sources,
                add.chown.as_deref(),
                add.chmod.as_deref(),
            )?,
            Instruction::Run(run) => {
                let script = run.script();
                let mut words = if script.needs_shell() {
                    self.shell.clone()
                } else {
                    Vec::new()
                };
                words.extend(script.arguments());
                format!("RUN {}{} # buildkit", self.prefix(), words.join(" "))
            }
            Instruction::Onbuild(_) => return Some(()),
            // The working directory of the base is not known.
            Instruction::Workdir(_) => return None,
        };
        self.rows.push(row);
        Some(())
    }

    fn pairs(&self, pairs: &[Pair]) -> Option<Vec<(String, String)>> {
        pairs
            .iter()
            .map(|pair| Some((self.expand(&pair.name)?, self.expand(&pair.value)?)))
            .collect()
    }

    fn declare(&mut self, name: &str, default: Option<&str>) -> Option<String> {
        let given = self.build_args[name].as_str().map(str::to_owned);
        let value = match (given, default) {
            (Some(given), _) => Some(given),
            (None, Some(default)) => Some(self.expand(default)?),
            (None, None) => find(&self.global, name),
        };
        if !self.arguments.iter().any(|known| known == name) {
            self.arguments.push(name.to_owned());
        }
        let word = value
            .as_ref()
            .map_or_else(|| name.to_owned(), |value| format!("{name}={value}"));
        if let Some(value) = value {
            self.set(name, value);
        }
        Some(word)
    }

    fn prefix(&self) -> String {
        if self.arguments.is_empty() {
            return String::new();
        }
        let pairs = self.arguments.iter().map(|name| {
            format!(
                "{name}={} ",
                find(&self.environment, name).unwrap_or_default()
            )
        });
        format!("|{} {}", self.arguments.len(), pairs.collect::<String>())
    }

    fn argv(&self, command: &Command) -> Vec<String> {
        match command {
            Command::Exec(words) => words.clone(),
            Command::Shell(text) => self.shell.iter().chain([text]).cloned().collect(),
        }
    }

    fn ports(&self, words: &[String]) -> Option<Vec<String>> {
        let lookup = |name: &str| find(&self.environment, name);
        let expander = Expander::new(self.escape, &lookup);
        let mut ports = Vec::new();
        for word in words {
            for word in expander.expand_words(word).ok()? {
                ports.extend(port::parse(&word).ok()?.ports);
            }
        }
        Some(ports)
    }

    fn copied(
        &self,
        prefix: &str,
        sources: &Sources,
        chown: Option<&str>,
        chmod: Option<&str>,
    ) -> Option<String> {
        let mut row = prefix.to_owned();
        for (flag, value) in [("chown", chown), ("chmod", chmod)] {
            if let Some(value) = value {
                let value = self.expand(value)?;
                if !value.is_empty() {
                    row.push_str(&format!(" --{flag}={value}"));
                }
            }
        }
        for path in &sources.paths {
            row.push_str(&format!(" {}", self.expand(path)?));
        }
        for heredoc in &sources.heredocs {
            row.push_str(&format!(" <<{}", heredoc.name));
        }
        Some(format!(
            "{row} {} # buildkit",
            self.expand(&sources.destination)?
        ))
    }
}

fn joined(pairs: &[(String, String)]) -> String {
    pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(" ")
}
