//! Instructions that change the image's configuration and nothing else.

use yadokari_dockerfile::instruction::{
    Cmd, Command, Entrypoint, Expose, Healthcheck, Label, Maintainer, Onbuild, Shell, StopSignal,
    User, Volume,
};
use yadokari_dockerfile::lint::Lint;
use yadokari_dockerfile::lint::predicate;
use yadokari_dockerfile::value::quote::{plain_list, quoted_list};
use yadokari_dockerfile::value::{port, signal};
use yadokari_dockerfile::{Instruction, Located};
use yadokari_image::{Empty, Healthcheck as ImageHealthcheck};

use super::variables::joined;
use super::{Done, Evaluation};
use crate::error::{PlanError, PlanErrorKind};
use crate::model::Operation;

impl Evaluation<'_> {
    pub(super) fn label(
        &mut self,
        at: &Located<Instruction>,
        label: &Label,
    ) -> Result<Done, PlanError> {
        crate::lint::legacy_pairs(&mut self.warnings, at, &label.pairs);
        let mut pairs = Vec::with_capacity(label.pairs.len());
        for pair in &label.pairs {
            let name = self.expand(at, &pair.name)?;
            pairs.push((name, self.expand(at, &pair.value)?));
        }
        self.state
            .config
            .config
            .labels
            .extend(pairs.iter().cloned());
        Ok(Self::metadata(format!("LABEL {}", joined(&pairs))))
    }

    pub(super) fn cmd(&mut self, at: &Located<Instruction>, cmd: &Cmd) -> Done {
        let words = self.command(at, &cmd.command);
        let history = format!("CMD {}", quoted_list(&words));
        let config = &mut self.state.config.config;
        config.cmd = Some(words);
        config.args_escaped = true;
        self.cmd_seen = true;
        Self::metadata(history)
    }

    pub(super) fn entrypoint(
        &mut self,
        at: &Located<Instruction>,
        entrypoint: &Entrypoint,
    ) -> Done {
        let words = self.command(at, &entrypoint.command);
        let history = format!("ENTRYPOINT {}", quoted_list(&words));
        let config = &mut self.state.config.config;
        config.entrypoint = Some(words);
        if !self.cmd_seen {
            config.cmd = None;
        }
        Self::metadata(history)
    }

    /// The words of a command, the shell in front of the shell form.
    fn command(&mut self, at: &Located<Instruction>, command: &Command) -> Vec<String> {
        match command {
            Command::Exec(words) => words.clone(),
            Command::Shell(text) => {
                if self.state.config.config.shell.is_empty() {
                    self.warnings
                        .extend(at.warn(Lint::json_args_recommended(&at.keyword)));
                }
                let mut words = self.shell_words();
                words.push(text.clone());
                words
            }
        }
    }

    /// The shell of the shell form.
    pub(super) fn shell_words(&self) -> Vec<String> {
        match self.state.config.config.shell.as_slice() {
            [] => vec!["/bin/sh".to_owned(), "-c".to_owned()],
            shell => shell.to_vec(),
        }
    }

    pub(super) fn shell(&mut self, shell: &Shell) -> Done {
        self.state.config.config.shell.clone_from(&shell.shell);
        Self::metadata(format!("SHELL {}", plain_list(&shell.shell)))
    }

    pub(super) fn expose(
        &mut self,
        at: &Located<Instruction>,
        expose: &Expose,
    ) -> Result<Done, PlanError> {
        let mut ports = Vec::new();
        for word in &expose.words {
            for word in self.expand_list(at, word)? {
                let spec = port::parse(&word)
                    .map_err(|error| PlanErrorKind::Value(error.to_string()).at(at.span))?;
                let lints = predicate::port_lints(&word, &spec);
                self.warnings
                    .extend(lints.into_iter().filter_map(|lint| at.warn(lint)));
                ports.extend(spec.ports);
            }
        }
        let exposed = &mut self.state.config.config.exposed_ports;
        exposed.extend(ports.iter().map(|port| (port.clone(), Empty {})));
        Ok(Self::metadata(format!("EXPOSE {}", plain_list(&ports))))
    }

    /// Expands a word and splits what comes out.
    fn expand_list(
        &mut self,
        at: &Located<Instruction>,
        word: &str,
    ) -> Result<Vec<String>, PlanError> {
        use crate::error::At as _;
        let escape = self.outline.dockerfile.escape;
        self.state.scope.expand_words(escape, word).at(at.span)
    }

    pub(super) fn volume(
        &mut self,
        at: &Located<Instruction>,
        volume: &Volume,
    ) -> Result<Done, PlanError> {
        let mut paths = Vec::with_capacity(volume.paths.len());
        for path in &volume.paths {
            let path = self.expand(at, path)?;
            if path.is_empty() {
                let empty = "VOLUME specified can not be an empty string".to_owned();
                return Err(PlanErrorKind::Value(empty).at(at.span));
            }
            paths.push(path);
        }
        let volumes = &mut self.state.config.config.volumes;
        volumes.extend(paths.iter().map(|path| (path.clone(), Empty {})));
        Ok(Self::metadata(format!("VOLUME {}", plain_list(&paths))))
    }

    pub(super) fn user(
        &mut self,
        at: &Located<Instruction>,
        user: &User,
    ) -> Result<Done, PlanError> {
        let user = self.expand(at, &user.user)?;
        self.state.config.config.user.clone_from(&user);
        Ok(Self::metadata(format!("USER {user}")))
    }

    pub(super) fn stop_signal(
        &mut self,
        at: &Located<Instruction>,
        signal: &StopSignal,
    ) -> Result<Done, PlanError> {
        let text = self.expand(at, &signal.signal)?;
        signal::parse(&text)
            .map_err(|error| PlanErrorKind::Value(error.to_string()).at(at.span))?;
        self.state.config.config.stop_signal.clone_from(&text);
        Ok(Self::metadata(format!("STOPSIGNAL {text}")))
    }

    pub(super) fn healthcheck(&mut self, healthcheck: &Healthcheck) -> Done {
        self.state.config.config.healthcheck = Some(ImageHealthcheck {
            test: healthcheck.test.clone(),
            interval: healthcheck.interval,
            timeout: healthcheck.timeout,
            start_period: healthcheck.start_period,
            start_interval: healthcheck.start_interval,
            retries: healthcheck.retries,
        });
        Self::metadata(format!("HEALTHCHECK {}", healthcheck.history()))
    }

    pub(super) fn maintainer(&mut self, maintainer: &Maintainer) -> Done {
        self.state.config.author = Some(maintainer.name.clone());
        Self::metadata(format!("MAINTAINER {}", maintainer.name))
    }

    /// ONBUILD is for the builds on top; this one has no row for it.
    pub(super) fn onbuild(&mut self, onbuild: &Onbuild) -> Done {
        self.state
            .config
            .config
            .on_build
            .push(onbuild.trigger.clone());
        Done {
            operation: Operation::Metadata,
            history: None,
        }
    }
}
