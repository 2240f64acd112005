//! COPY, ADD and WORKDIR: what is put where, as far as it can be told without looking at files.

use yadokari_dockerfile::ignore::Patterns;
use yadokari_dockerfile::instruction::{Add, Copy, Sources, Workdir};
use yadokari_dockerfile::lint::Lint;
use yadokari_dockerfile::value::mode::Mode;
use yadokari_dockerfile::value::owner::Owner;
use yadokari_dockerfile::{Heredoc, Instruction, Located};

use super::{Done, Evaluation};
use crate::error::{At as _, PlanError, PlanErrorKind};
use crate::model::{self, Chmod, Document, HistoryRow, Operation, Remote, Source, Unpack};
use crate::paths;
use crate::remote::SourceKind;

/// The parts of COPY and ADD that are treated alike.
struct Common<'a> {
    keyword: &'static str,
    sources: &'a Sources,
    chown: Option<&'a String>,
    chmod: Option<&'a String>,
    link: bool,
    parents: bool,
    exclude: &'a [String],
}

impl Evaluation<'_> {
    pub(super) fn copy(
        &mut self,
        at: &Located<Instruction>,
        copy: &Copy,
    ) -> Result<Done, PlanError> {
        let from = match &copy.from {
            Some(word) => self.source(at, word)?,
            None => Source::Context,
        };
        let common = Common {
            keyword: "COPY",
            sources: &copy.sources,
            chown: copy.chown.as_ref(),
            chmod: copy.chmod.as_ref(),
            link: copy.link,
            parents: copy.parents,
            exclude: &copy.exclude,
        };
        let (mut operation, history) = self.common(at, &common)?;
        for word in &operation.sources {
            match SourceKind::of(word) {
                SourceKind::Local => {}
                SourceKind::Git => return Err(PlanErrorKind::CopyRemote("git ref").at(at.span)),
                SourceKind::Http => return Err(PlanErrorKind::CopyRemote("URL").at(at.span)),
            }
        }
        operation.from = from;
        self.note_ignored(at, &operation, "Copy");
        Ok(copied(operation, history))
    }

    /// What `--from=word` means here; a stage must be defined above this one.
    fn source(&self, at: &Located<Instruction>, word: &str) -> Result<Source, PlanError> {
        let source = self.outline.copy_source(word).at(at.span)?;
        match source {
            Source::Stage(id) if id >= self.id => {
                let current = self.outline.name_of(self.id);
                Err(PlanErrorKind::CopyForward {
                    from: word.to_owned(),
                    current,
                }
                .at(at.span))
            }
            source => Ok(source),
        }
    }

    pub(super) fn add(&mut self, at: &Located<Instruction>, add: &Add) -> Result<Done, PlanError> {
        let common = Common {
            keyword: "ADD",
            sources: &add.sources,
            chown: add.chown.as_ref(),
            chmod: add.chmod.as_ref(),
            link: add.link,
            parents: false,
            exclude: &add.exclude,
        };
        let (mut operation, history) = self.common(at, &common)?;
        let checksum = add
            .checksum
            .as_ref()
            .map(|text| self.expand(at, text))
            .transpose()?
            .filter(|text| !text.is_empty());
        let words = std::mem::take(&mut operation.sources);
        if checksum.is_some() {
            check_checksum(&words, add).map_err(|kind| kind.at(at.span))?;
        }
        for word in words {
            match SourceKind::of(&word) {
                SourceKind::Local => operation.sources.push(word),
                kind => operation.remotes.push(Remote {
                    url: word,
                    git: kind == SourceKind::Git,
                    checksum: checksum.clone(),
                    keep_git_dir: add.keep_git_dir,
                }),
            }
        }
        operation.is_add = true;
        operation.unpack = match add.unpack {
            Some(false) => Unpack::Never,
            Some(true) => Unpack::Always,
            None => Unpack::Local,
        };
        self.note_ignored(at, &operation, "Add");
        Ok(copied(operation, history))
    }

    fn common(
        &mut self,
        at: &Located<Instruction>,
        common: &Common<'_>,
    ) -> Result<(model::Copy, String), PlanError> {
        let sources = self.expand_all(at, &common.sources.paths)?;
        let written = self.expand(at, &common.sources.destination)?;
        let chown = self.flag(at, common.chown)?;
        let chmod = self.flag(at, common.chmod)?;
        let link = common.link && chmod.is_none();
        self.check_owner(at, chown.as_deref(), link)?;
        let history = history(
            common,
            chown.as_deref(),
            chmod.as_deref(),
            &sources,
            &written,
        );
        let chown = chown.or_else(|| self.kaniko_owner());
        let operation = model::Copy {
            from: Source::Context,
            sources,
            remotes: Vec::new(),
            documents: self.documents(at, &common.sources.heredocs)?,
            destination: paths::destination(self.state.directory(), &written),
            chown,
            chmod: chmod
                .map(change_mode)
                .transpose()
                .map_err(|kind| kind.at(at.span))?,
            link,
            parents: common.parents,
            exclude: exclusion(common.exclude).map_err(|kind| kind.at(at.span))?,
            unpack: Unpack::Never,
            is_add: false,
        };
        Ok((operation, history))
    }

    fn expand_all(
        &mut self,
        at: &Located<Instruction>,
        words: &[String],
    ) -> Result<Vec<String>, PlanError> {
        words.iter().map(|word| self.expand(at, word)).collect()
    }

    /// With kaniko's rules, the user who owns what is copied without `--chown`.
    fn kaniko_owner(&self) -> Option<String> {
        let user = &self.state.config.config.user;
        (self.outline.request.kaniko && !user.is_empty()).then(|| user.clone())
    }

    /// Expands a flag's value; an empty one is as good as none.
    fn flag(
        &mut self,
        at: &Located<Instruction>,
        value: Option<&String>,
    ) -> Result<Option<String>, PlanError> {
        let expanded = value.map(|value| self.expand(at, value)).transpose()?;
        Ok(expanded.filter(|value| !value.is_empty()))
    }

    /// A user can only be given by name where there are files to look it up in.
    fn check_owner(
        &self,
        at: &Located<Instruction>,
        owner: Option<&str>,
        link: bool,
    ) -> Result<(), PlanError> {
        match owner {
            Some(owner) if Owner::parse(owner).has_name() && (link || !self.state.has_layers) => {
                Err(PlanErrorKind::OwnerWithoutFiles(owner.to_owned()).at(at.span))
            }
            _ => Ok(()),
        }
    }

    fn documents(
        &mut self,
        at: &Located<Instruction>,
        heredocs: &[Heredoc],
    ) -> Result<Vec<Document>, PlanError> {
        let mut documents = Vec::with_capacity(heredocs.len());
        for heredoc in heredocs {
            if heredoc.name.contains('/') {
                let name = heredoc.name.trim_start_matches('/');
                return Err(PlanErrorKind::Value(format!(
                    "open /{name}: no such file or directory"
                ))
                .at(at.span));
            }
            let content = if heredoc.expand {
                let escape = self.outline.dockerfile.escape;
                let expanded = self
                    .state
                    .scope
                    .expand_body(escape, &heredoc.text())
                    .at(at.span)?;
                crate::lint::undefined(
                    &mut self.warnings,
                    at,
                    &self.state.scope,
                    &expanded.undefined,
                );
                expanded.value.into_bytes()
            } else {
                heredoc.body().into_owned()
            };
            documents.push(Document {
                name: heredoc.name.clone(),
                content,
            });
        }
        Ok(documents)
    }

    /// A plain source that the ignore file hides; with exceptions in the file nobody can tell.
    fn note_ignored(&mut self, at: &Located<Instruction>, copy: &model::Copy, verb: &str) {
        let Some(ignore) = &self.outline.request.ignore else {
            return;
        };
        if copy.from != Source::Context || ignore.has_negations() {
            return;
        }
        for word in &copy.sources {
            let path = paths::clean(word);
            let path = path.trim_start_matches('/');
            if ignore.excludes(path.as_bytes()).is_some() {
                let shown = if path.is_empty() { "." } else { path };
                self.warnings
                    .extend(at.warn(Lint::copy_ignored_file(verb, shown)));
            }
        }
    }

    /// WORKDIR changes the directory of what follows, and makes sure that it exists.
    pub(super) fn workdir(
        &mut self,
        at: &Located<Instruction>,
        workdir: &Workdir,
    ) -> Result<Done, PlanError> {
        let written = self.expand(at, &workdir.path)?;
        self.note_relative(at, &written);
        let path = paths::workdir(&self.state.config.config.working_dir, &written);
        self.state.config.config.working_dir.clone_from(&path);
        let created_by = format!("WORKDIR {path}");
        if path == "/" {
            return Ok(Self::metadata(created_by));
        }
        let user = self.state.config.config.user.clone();
        self.check_owner(at, Some(&user), false)?;
        Ok(Done {
            operation: Operation::Workdir(model::Workdir { path, user }),
            history: Some(HistoryRow {
                created_by,
                empty_layer: false,
            }),
        })
    }

    fn note_relative(&mut self, at: &Located<Instruction>, written: &str) {
        if written.starts_with('/') {
            self.state.workdir_set = true;
        } else if !self.state.workdir_set {
            self.state.workdir_set = true;
            self.warnings
                .extend(at.warn(Lint::workdir_relative_path(written)));
        }
    }
}

fn copied(operation: model::Copy, created_by: String) -> Done {
    Done {
        operation: Operation::Copy(Box::new(operation)),
        history: Some(HistoryRow {
            created_by,
            empty_layer: false,
        }),
    }
}

fn check_checksum(words: &[String], add: &Add) -> Result<(), PlanErrorKind> {
    if words.len() + add.sources.heredocs.len() > 1 {
        return Err(PlanErrorKind::ChecksumMany);
    }
    match words.first().map(|word| SourceKind::of(word)) {
        Some(SourceKind::Http | SourceKind::Git) => Ok(()),
        _ => Err(PlanErrorKind::ChecksumLocal),
    }
}

fn change_mode(text: String) -> Result<Chmod, PlanErrorKind> {
    let mode = Mode::parse(&text).map_err(|error| PlanErrorKind::Value(error.to_string()))?;
    Ok(Chmod { text, mode })
}

fn exclusion(words: &[String]) -> Result<Option<(Vec<String>, Patterns)>, PlanErrorKind> {
    if words.is_empty() {
        return Ok(None);
    }
    let patterns = Patterns::from_words(words).map_err(|error| {
        PlanErrorKind::Value(format!("invalid excludepatterns: {words:?}: {error}"))
    })?;
    Ok(Some((words.to_vec(), patterns)))
}

/// The row in the history: sources and destination as written, after expansion.
fn history(
    common: &Common<'_>,
    chown: Option<&str>,
    chmod: Option<&str>,
    sources: &[String],
    dest: &str,
) -> String {
    let mut words = vec![common.keyword.to_owned()];
    words.extend(common.parents.then(|| "--parents".to_owned()));
    words.extend(chown.map(|value| format!("--chown={value}")));
    words.extend(chmod.map(|value| format!("--chmod={value}")));
    words.extend(sources.iter().cloned());
    words.extend(
        common
            .sources
            .heredocs
            .iter()
            .map(|heredoc| format!("<<{}", heredoc.name)),
    );
    words.push(dest.to_owned());
    format!("{} # buildkit", words.join(" "))
}
