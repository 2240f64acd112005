//! Walks one stage: base, then step after step.

pub(crate) mod files;
pub(crate) mod layers;
pub(crate) mod pack;
pub(crate) mod rows;
pub(crate) mod single;
pub(crate) mod stages;
pub(crate) mod trees;

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::Mutex;
use tracing::Instrument as _;
use yadokari_image::History;
use yadokari_image::media_type::Family;
use yadokari_plan::{Base, Key, Operation, Source, Stage, StageId, Step};
use yadokari_tree::{Tree, diff};

use crate::caching::lookup::Hit;
use crate::caching::record::Identity;
use crate::caching::rekey::{Known, Names, Standing};
use crate::error::BuildError;
use crate::events::{Event, Outcome};
use crate::outputs::assemble::{INSTRUCTION, ImageLayer};
use crate::outputs::early;
use crate::stage::files::StageFiles;
use crate::stage::layers::Layer;
use crate::stage::pack::{Label, Sources};
use crate::stage::rows::Rows;
use crate::stage::stages::Stages;
use crate::step::begin::{Beginning, tell_waiting_for_base};
use crate::step::{At, Made, copy, run, workdir};
use crate::time::format;
use crate::trace::work_span;
use crate::work::{Work, step_id};

/// What a finished stage leaves.
#[derive(Debug)]
pub(crate) struct StageResult {
    pub(crate) files: Arc<Mutex<StageFiles>>,
    /// Rows of the history, the base's first.
    pub(crate) rows: Arc<Rows>,
    /// How many of the rows come from a base image.
    pub(crate) base_rows: usize,
    /// How many of the layers come from a base image.
    pub(crate) base_layers: usize,
    /// The base image's family of media types.
    pub(crate) base_family: Option<Family>,
    /// Where it stands in the cache.
    pub(crate) standing: Standing,
}

/// Builds a stage on top of others.
pub(crate) async fn build(
    work: Arc<Work>,
    id: StageId,
    others: Stages,
) -> Result<Arc<StageResult>, BuildError> {
    let stage = work
        .plan
        .stage(id)
        .expect("only stages of the plan are built");
    let mut walk = Walk::start(&work, stage, &others)
        .await
        .map_err(|error| error.at(stage.span))?;
    for (index, step) in stage.steps.iter().enumerate() {
        let at = At {
            work: &work,
            stage,
            index,
            others: &others,
            begun: &Beginning::default(),
        };
        if let Err(error) = walk.step(at, step).await {
            work.tell(Event::Failed(step_id(id, index)));
            return Err(error.at(step.span));
        }
    }
    Ok(Arc::new(walk.finish()))
}

struct Walk {
    files: StageFiles,
    rows: Rows,
    base_rows: usize,
    base_layers: usize,
    base_family: Option<Family>,
    standing: Standing,
}

impl Walk {
    async fn start(work: &Arc<Work>, stage: &Stage, others: &Stages) -> Result<Self, BuildError> {
        let directory = work.stage_directory(stage.id);
        let standing = Standing::start(work.keys.base(stage.id));
        let plain = |files| Self {
            files,
            rows: Rows::default(),
            base_rows: 0,
            base_layers: 0,
            base_family: None,
            standing: standing.clone(),
        };
        Ok(match &stage.base {
            Base::Scratch => plain(StageFiles::new(Vec::new(), directory)),
            Base::Context(name) => plain(context_files(work, name, directory).await?),
            Base::Image(base) => {
                let image = &work.images[&base.key];
                send_base(work, stage, &image.layers());
                let rows = image.history();
                Self {
                    files: StageFiles::of_image(image.layers(), directory),
                    base_rows: rows.len(),
                    base_layers: image.layers().len(),
                    rows: Rows::new(rows),
                    base_family: Some(image.family()),
                    standing,
                }
            }
            Base::Stage(parent) => {
                tell_waiting_for_base(work, stage.id, *parent, others);
                let parent = others.built(*parent).await?;
                Self {
                    files: StageFiles::on_top_of(&parent.files, directory).await,
                    rows: Rows::on_top_of(&parent.rows),
                    base_rows: parent.base_rows,
                    base_layers: parent.base_layers,
                    base_family: parent.base_family,
                    standing: parent.standing.for_child(),
                }
            }
        })
    }

    fn finish(self) -> StageResult {
        StageResult {
            files: Arc::new(Mutex::new(self.files)),
            rows: Arc::new(self.rows),
            base_rows: self.base_rows,
            base_layers: self.base_layers,
            base_family: self.base_family,
            standing: self.standing,
        }
    }

    async fn step(&mut self, at: At<'_>, step: &Step) -> Result<(), BuildError> {
        let doing = self.find_or_do(at, step);
        let (outcome, content) = at.beginning(&step.operation, doing).await?;
        // A layer may have been found without what the step waited for.
        at.begin();
        if step.operation.makes_layer() {
            self.standing.pass(step, content);
        }
        self.rows.extend(step.history.as_ref().map(|row| History {
            created: None,
            created_by: row.created_by.clone(),
            comment: INSTRUCTION.to_owned(),
            empty_layer: row.empty_layer,
            ..History::default()
        }));
        at.work.tell(Event::Finished {
            step: step_id(at.stage.id, at.index),
            outcome,
            took: at.took(),
        });
        Ok(())
    }

    /// Takes a step's layer from the cache or makes it. Gives its key by content too, if that is known.
    async fn find_or_do(
        &mut self,
        at: At<'_>,
        step: &Step,
    ) -> Result<(Outcome, Option<Key>), BuildError> {
        let known = self.standing.know(at, step).await?;
        if let Some(key) = at.work.keys.step(at.stage.id, at.index) {
            let (stage, cached) = (&at.stage.name, known.hit.is_some());
            tracing::debug!(stage, step = step.title, %key, cached, "cache key");
        }
        let outcome = match &known.hit {
            Some(hit) => self.cached(at, step, hit, &known),
            None => {
                if step.operation.makes_layer() {
                    early::begin(at.work);
                }
                at.missed();
                self.work(at, step, known.names)
                    .instrument(work_span!("step", "{}", step.title))
                    .await?
            }
        };
        Ok((outcome, known.names.content))
    }

    fn cached(&mut self, at: At<'_>, step: &Step, hit: &Hit, known: &Known) -> Outcome {
        let record = &hit.record;
        let listed = ImageLayer {
            descriptor: record.layer.clone(),
            diff_id: record.diff_id,
            created: Some(record.created.clone()),
            description: String::new(),
        };
        at.work.tell(Event::Layer {
            step: step_id(at.stage.id, at.index),
            size: listed.descriptor.size,
        });
        let layer = Layer::existing(listed, hit.place.clone());
        self.standing.below.push(&step.operation, &layer);
        crate::caching::record::keep_found(at, step, &layer, known);
        self.files.push(layer);
        Outcome::Cached
    }

    async fn work(&mut self, at: At<'_>, step: &Step, names: Names) -> Result<Outcome, BuildError> {
        let made = match &step.operation {
            Operation::Metadata => return Ok(Outcome::Metadata),
            Operation::Run(command) => run::run(at, command, &mut self.files).await?,
            Operation::Copy(operation) => {
                self.prepare_disk(at).await?;
                copy::copy(at, operation, &mut self.files).await?
            }
            Operation::Workdir(operation) => {
                self.prepare_disk(at).await?;
                workdir::workdir(at, operation, &mut self.files).await?
            }
        };
        let identity = Identity {
            below: self.standing.below.clone(),
            names,
        };
        self.add(at, step, made, identity).await
    }

    /// A stage that will run a command is unpacked before files are copied into it: on disk they then have
    /// all their attributes, more than their layer holds.
    async fn prepare_disk(&mut self, at: At<'_>) -> Result<(), BuildError> {
        // Where no command can run, the one that will be refused is what has to be told of.
        let can_run = at.work.services.runner.ready().is_ok();
        if can_run && at.work.schedule.runs_after(at.stage, at.index) {
            self.files.root(at.work).await?;
        }
        Ok(())
    }

    async fn add(
        &mut self,
        at: At<'_>,
        step: &Step,
        made: Made,
        identity: Identity,
    ) -> Result<Outcome, BuildError> {
        let label = label(at.work, at.work.services.clock.now());
        let count = match made {
            Made::Changes {
                changes,
                after,
                contents,
                sources,
            } => {
                let layer = pack::start(
                    at.work,
                    Arc::clone(&changes),
                    Arc::clone(&contents),
                    sources,
                    label,
                )
                .await?;
                tell_size(at, &layer);
                self.standing.below.push(&step.operation, &layer);
                crate::caching::record::keep(at, step, &layer, identity);
                let count = changes.len();
                self.files
                    .push_changes(layer, changes, after, contents)
                    .await?;
                count
            }
            Made::OnDisk {
                changes,
                after,
                snapshot,
                root,
            } => {
                let moves = at.work.schedule.runs_after(at.stage, at.index + 1)
                    || at.work.schedule.readers(at.stage.id) > 0;
                let sources = if moves {
                    Sources::Moving
                } else {
                    Sources::Settled
                };
                let count = changes.len();
                let layer = pack::start(at.work, changes, root, sources, label).await?;
                tell_size(at, &layer);
                self.standing.below.push(&step.operation, &layer);
                crate::caching::record::keep(at, step, &layer, identity);
                self.files.push_on_disk(layer, after, snapshot, sources);
                count
            }
        };
        Ok(Outcome::Ran { changes: count })
    }
}

/// Tells how big a step's layer is as soon as that is known.
fn tell_size(at: At<'_>, layer: &Layer) {
    let (work, layer) = (Arc::clone(at.work), layer.clone());
    let step = step_id(at.stage.id, at.index);
    at.work.in_background(async move {
        if let Ok(finished) = layer.finished().await {
            let size = finished.listed.descriptor.size;
            work.tell(Event::Layer { step, size });
        }
    });
}

/// Sends the layers of a base on their way to the destinations, if they belong to what is published.
fn send_base(work: &Arc<Work>, stage: &Stage, layers: &[Layer]) {
    if !work.is_published(stage.id) {
        return;
    }
    for layer in layers {
        let layer = layer.clone();
        let pusher = Arc::clone(work);
        work.in_background(async move {
            if let Ok(finished) = layer.finished().await {
                early::push_known(&pusher, finished).await;
            }
        });
    }
}

fn label(work: &Work, now: SystemTime) -> Label {
    Label {
        created: format(now),
        description: String::new(),
        rewritten: work.clamp().filter(|_| work.request.times.rewrite_layers),
    }
}

/// The files of a named context as the single layer of a base.
async fn context_files(
    work: &Work,
    name: &str,
    directory: std::path::PathBuf,
) -> Result<StageFiles, BuildError> {
    let source = Source::Named(name.to_owned());
    let stay = work.stay_with(&source).await;
    let listed = work.named[name].files(work.services.threads).await?;
    drop(stay);
    let after = listed.tree().clone();
    let changes = Arc::new(diff(&Tree::empty(), &after));
    let contents: Arc<dyn yadokari_layer::Contents + Send + Sync> = listed;
    let label = label(work, work.services.clock.now());
    let sources = match work.movable.has(&source) {
        true => Sources::Movable,
        false => Sources::Settled,
    };
    let layer = pack::start(
        work,
        Arc::clone(&changes),
        Arc::clone(&contents),
        sources,
        label,
    )
    .await?;
    let mut files = StageFiles::new(Vec::new(), directory);
    files.push_changes(layer, changes, after, contents).await?;
    Ok(files)
}
