//! RUN: the command, its environment and its mounts.

use std::collections::BTreeMap;

use yadokari_dockerfile::expand::Expander;
use yadokari_dockerfile::instruction::{self, Mount, MountKind, RawMount, Script, Security};
use yadokari_dockerfile::{Instruction, Located};

use super::{Done, Evaluation};
use crate::error::{PlanError, PlanErrorKind};
use crate::model::{HistoryRow, Operation, Run, RunMount, RunNetwork, Source};
use crate::paths;

/// Build arguments that every RUN gets as variables, in both cases, without asking.
const PROXIES: [&str; 5] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

impl Evaluation<'_> {
    pub(super) fn run(
        &mut self,
        at: &Located<Instruction>,
        run: &instruction::Run,
    ) -> Result<Done, PlanError> {
        if !run.devices.is_empty() {
            return Err(PlanErrorKind::Device.at(at.span));
        }
        let script = run.script();
        let mut argv = if script.needs_shell() {
            self.shell_words()
        } else {
            Vec::new()
        };
        argv.extend(script.arguments());
        if argv.is_empty() {
            return Err(PlanErrorKind::NoArguments.at(at.span));
        }
        let insecure = run.security == Security::Insecure;
        let network = self.network(at, run.network)?;
        if insecure {
            self.require(at, "security.insecure")?;
        }
        let created_by = format!(
            "RUN {}{} # buildkit",
            self.state.scope.argument_prefix(),
            argv.join(" ")
        );
        let operation = Run {
            argv,
            env: self.state.scope.variables().to_vec(),
            proxies: self.proxies(),
            cwd: self.state.directory().to_owned(),
            user: self.state.config.config.user.clone(),
            network,
            insecure,
            mounts: self.mounts(at, &run.mounts)?,
            volumes: self.dropped_volumes(),
            script: match script {
                Script::File { name, body } => Some((name, body)),
                _ => None,
            },
        };
        Ok(Done {
            operation: Operation::Run(Box::new(operation)),
            history: Some(HistoryRow {
                created_by,
                empty_layer: false,
            }),
        })
    }

    /// With kaniko's rules, the volumes declared so far.
    fn dropped_volumes(&self) -> Vec<String> {
        let volumes = self.state.config.config.volumes.keys();
        volumes
            .filter(|_| self.outline.request.kaniko)
            .cloned()
            .collect()
    }

    fn network(
        &self,
        at: &Located<Instruction>,
        network: instruction::Network,
    ) -> Result<RunNetwork, PlanError> {
        Ok(match network {
            instruction::Network::Default => RunNetwork::Default,
            instruction::Network::None => RunNetwork::None,
            instruction::Network::Host => {
                self.require(at, "network.host")?;
                RunNetwork::Host
            }
        })
    }

    fn require(&self, at: &Located<Instruction>, right: &'static str) -> Result<(), PlanError> {
        if self
            .outline
            .request
            .allow
            .iter()
            .any(|granted| granted == right)
        {
            return Ok(());
        }
        Err(PlanErrorKind::NotAllowed(right).at(at.span))
    }

    /// Proxy variables in both cases; an ARG of the same name has made it an ordinary variable.
    fn proxies(&self) -> Vec<(String, String)> {
        let mut found = BTreeMap::new();
        for (name, value) in &self.outline.request.build_args {
            let upper = name.to_ascii_uppercase();
            if PROXIES.contains(&upper.as_str()) && !value.is_empty() {
                found.insert(upper, value.clone());
            }
        }
        let both = found.into_iter().flat_map(|(upper, value)| {
            [(upper.to_ascii_lowercase(), value.clone()), (upper, value)]
        });
        both.filter(|(name, _)| self.state.scope.get(name).is_none())
            .collect()
    }

    fn mounts(
        &mut self,
        at: &Located<Instruction>,
        raw: &[RawMount],
    ) -> Result<Vec<RunMount>, PlanError> {
        raw.iter().map(|raw| self.mount(at, raw)).collect()
    }

    fn mount(&mut self, at: &Located<Instruction>, raw: &RawMount) -> Result<RunMount, PlanError> {
        let scope = self.state.scope.clone();
        let lookup = |name: &str| scope.get(name).map(str::to_owned);
        let mount = Mount::resolve(raw, &Expander::new(self.outline.dockerfile.escape, &lookup))
            .map_err(|error| PlanErrorKind::Value(error.to_string()).at(at.span))?;
        crate::lint::undefined(&mut self.warnings, at, &self.state.scope, &mount.undefined);
        let from = self.mount_source(at, &mount)?;
        let target = self.mount_target(&mount);
        if target.as_deref() == Some("/") {
            return Err(PlanErrorKind::Value("invalid mount target \"/\"".to_owned()).at(at.span));
        }
        Ok(RunMount {
            mount,
            target,
            from,
        })
    }

    /// Where the mount is seen; a secret that is only a variable is seen nowhere.
    fn mount_target(&self, mount: &Mount) -> Option<String> {
        let directory = self.state.directory();
        match (mount.kind, &mount.target) {
            (_, Some(target)) => Some(paths::join(directory, target)),
            (MountKind::Secret, None) if mount.env.is_some() => None,
            (MountKind::Secret, None) => {
                let id = mount
                    .id
                    .as_deref()
                    .or(mount.source.as_deref())
                    .unwrap_or_default();
                let name = id.rsplit('/').next().unwrap_or_default();
                Some(format!("/run/secrets/{name}"))
            }
            (MountKind::Ssh, None) => None,
            (_, None) => Some(paths::clean(directory)),
        }
    }

    fn mount_source(
        &self,
        at: &Located<Instruction>,
        mount: &Mount,
    ) -> Result<Option<Source>, PlanError> {
        let Some(word) = &mount.from else {
            return Ok((mount.kind == MountKind::Bind).then_some(Source::Context));
        };
        let source = self
            .outline
            .mount_source(word)
            .map_err(|kind| kind.at(at.span))?;
        match source {
            Source::Stage(id) if id >= self.id => {
                let target = mount.target.clone().unwrap_or_default();
                Err(PlanErrorKind::MountForward {
                    from: word.clone(),
                    target,
                }
                .at(at.span))
            }
            source => Ok(Some(source)),
        }
    }
}
