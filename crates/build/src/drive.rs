//! A build from request to image, told once.

use std::collections::HashSet;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::try_join_all;
use tokio::sync::{Mutex, RwLock};
use tracing::Instrument as _;
use yadokari_cache::Trail;
use yadokari_image::{Descriptor, Digest, Platform};
use yadokari_plan::Request;
use yadokari_store::Spool;

use crate::bases::Bases;
use crate::cache_mounts::CacheMounts;
use crate::caching::lookup::Caches;
use crate::caching::record::chain;
use crate::cancel::unless_cancelled;
use crate::error::{BuildError, BuildErrorKind};
use crate::events::{Event, Expectation, PlannedStep};
use crate::movable::Movable;
use crate::outputs::assemble::{Assembled, Encoding, Parts, assemble};
use crate::outputs::early::Waiting;
use crate::outputs::publish::{CONCURRENT, Finished, publish, refuse_unpushable};
use crate::prepare::inputs::Inputs;
use crate::prepare::{Prepared, Purpose, prepare};
use crate::request::{BuildRequest, Compat};
use crate::services::Services;
use crate::stage::files::StageFiles;
use crate::stage::layers::FinishedLayer;
use crate::stage::pack;
use crate::stage::single::single_layer;
use crate::stage::stages::Stages;
use crate::stage::trees::Trees;
use crate::state::{Roots, Scratch};
use crate::time::format;
use crate::trace::work_span;
use crate::transfers::Transfers;
use crate::turns::Turns;
use crate::work::{Work, step_id};

/// An image that was built.
#[derive(Debug, Clone)]
pub struct Built {
    /// Digest of the manifest, or of the index of several platforms.
    pub digest: Digest,
    /// Digest of the image's configuration; several platforms have none in common.
    pub config: Option<Digest>,
    /// What a reference to it says.
    pub descriptor: Descriptor,
    /// Where it was published.
    pub places: Vec<String>,
}

/// Builds and publishes an image.
///
/// # Errors
///
/// [`BuildError`]. Nothing is published then, and nothing is left in the state directory but what later
/// builds can use.
pub async fn build(request: &BuildRequest, services: &Services) -> Result<Built, BuildError> {
    let ground = Arc::new(RwLock::new(()));
    let work = carry_out(request, services, &ground).instrument(work_span!("build", ""));
    // Its type is boxed: it is deeper than compilers like.
    let work = work.boxed();
    let built = unless_cancelled(&services.cancel, work).await;
    if built.is_err() {
        // What still runs in other stages is of no use any more.
        services.cancel.cancel();
    }
    // A command that was interrupted is given the time to put everything back.
    drop(ground.write().await);
    built
}

async fn carry_out(
    request: &BuildRequest,
    services: &Services,
    ground: &Arc<RwLock<()>>,
) -> Result<Built, BuildError> {
    let scratch = Arc::new(Scratch::new(&request.state_dir)?);
    let (inputs, ()) = tokio::try_join!(
        Inputs::load(request, services, scratch.path()).instrument(work_span!("read", "contexts")),
        refuse_unpushable(request, services).instrument(work_span!("check", "push permission"))
    )?;
    services.events.on(Event::Source(&inputs.file));
    let common = Common {
        cache_mounts: CacheMounts::new(request, services, ground, scratch.path()),
        ground: Arc::clone(ground),
        turns: Turns::new(services.runner.abilities().parallel),
        scratch,
    };
    let built = images_and_publication(request, services, &inputs, &common).await;
    // Mounts are saved beside the push, and what succeeded is saved also where something else failed.
    common.cache_mounts.settle().await;
    built
}

/// What the images of all platforms have in common.
struct Common {
    scratch: Arc<Scratch>,
    ground: Arc<RwLock<()>>,
    cache_mounts: Arc<CacheMounts>,
    turns: Turns,
}

impl Drop for Common {
    /// A build that is stopped does not go on saving.
    fn drop(&mut self) {
        self.cache_mounts.abandon();
    }
}

async fn images_and_publication(
    request: &BuildRequest,
    services: &Services,
    inputs: &Inputs,
    common: &Common,
) -> Result<Built, BuildError> {
    let platforms: Vec<Option<&Platform>> = match request.platforms.as_slice() {
        [] => vec![None],
        several => several.iter().map(Some).collect(),
    };
    let mut distrusted = HashSet::new();
    loop {
        let all = Attempt {
            request,
            services,
            inputs,
            common,
            distrusted: &distrusted,
        };
        let built = all.build(&platforms).await;
        let unusable = built.as_ref().err().and_then(Unusable::of);
        match unusable {
            // Without that the build is possible all the same; what was done by now is in the cache.
            Some(unusable) if distrusted.insert(unusable.digest) => {
                services.events.on(Event::Notice(&unusable.text));
                if unusable.is_layer {
                    discard(request, services, unusable.digest);
                }
            }
            _ => return built.map_err(|error| error.in_file(&inputs.file)),
        }
    }
}

/// Makes room in the cache for a layer whose bytes there are wrong.
fn discard(request: &BuildRequest, services: &Services, layer: Digest) {
    let caches = Caches::new(request, services, &HashSet::new());
    if let Some(caches) = caches.filter(|_| request.cache.push)
        && let Err(error) = caches.main().discard(layer)
    {
        tracing::debug!(%error, "removing a layer with wrong bytes");
    }
}

/// Something that a build had on the word of a cache, and that ended it.
struct Unusable {
    digest: Digest,
    is_layer: bool,
    /// What to tell of it.
    text: String,
}

impl Unusable {
    fn of(error: &BuildError) -> Option<Self> {
        let (digest, is_layer, instead) = match error.kind() {
            BuildErrorKind::CachedLayer { layer, .. } => (*layer, true, "building without it"),
            BuildErrorKind::OtherDownload { expected, .. } => {
                (*expected, false, "building with what is sent")
            }
            _ => return None,
        };
        Some(Self {
            digest,
            is_layer,
            text: format!("{}; {instead}", chain(error)),
        })
    }
}

/// A build with what the caches have, but for what turned out to be unusable.
struct Attempt<'a> {
    request: &'a BuildRequest,
    services: &'a Services,
    inputs: &'a Inputs,
    common: &'a Common,
    distrusted: &'a HashSet<Digest>,
}

impl Attempt<'_> {
    /// Builds the images of all platforms and publishes them.
    async fn build(&self, platforms: &[Option<&Platform>]) -> Result<Built, BuildError> {
        let mut finished = Vec::with_capacity(platforms.len());
        for platform in platforms {
            finished.push(self.image(*platform).await?);
        }
        publish(self.request, self.services, finished)
            .instrument(work_span!("publish", ""))
            .await
    }

    /// Builds the image of one platform.
    async fn image(&self, platform: Option<&Platform>) -> Result<Finished, BuildError> {
        let scratch = self.common.scratch.path();
        let purpose = (Purpose::Build, self.distrusted);
        let prepared = prepare(
            self.request,
            self.services,
            self.inputs,
            platform,
            scratch,
            purpose,
        );
        let mut prepared = prepared.await?;
        let trail = prepared.caching.trail.take();
        let work = Arc::new(self.work(prepared)?);
        announce(&work);
        self.common.cache_mounts.expect(&work);
        let result = walk(&work).await;
        work.settle().await;
        let (assembled, layers, files) = result?;
        leave_trail(&work, trail).await;
        Ok(Finished {
            assembled,
            layers,
            files,
            work,
        })
    }

    fn work(&self, prepared: Prepared) -> Result<Work, BuildError> {
        let Prepared {
            resolved,
            remotes,
            keys,
            schedule,
            caching,
        } = prepared;
        let (request, services) = (self.request, self.services);
        let (inputs, common) = (self.inputs, self.common);
        let roots = Roots::new(&common.scratch, services.threads)?;
        let image_files = schedule.images.iter().enumerate().map(|(index, key)| {
            let directory = roots.path().join(format!("image-{index}"));
            let files = StageFiles::of_image(resolved.images[key].layers(), directory);
            (key.clone(), Arc::new(Mutex::new(files)))
        });
        Ok(Work {
            image_files: image_files.collect(),
            request: Arc::new(request.clone()),
            services: services.clone(),
            plan: resolved.plan,
            schedule,
            keys,
            hits: caching.hits,
            cache: caching.caches,
            reasons: caching.reasons,
            placed: std::sync::Mutex::new(caching.placed),
            late: std::sync::Mutex::default(),
            context: Arc::clone(&inputs.context),
            named: inputs.named.clone(),
            agents: inputs.agents.clone(),
            images: resolved.images,
            remotes,
            spool: Spool::open(request.state_dir.join("blobs"))?,
            trees: Trees::default(),
            bases: Bases::new(&request.state_dir),
            roots: Arc::new(roots),
            scratch: Arc::clone(&common.scratch),
            ground: Arc::clone(&common.ground),
            movable: Movable::find(&*services.runner, inputs),
            transfers: Arc::new(Transfers::new(
                Arc::clone(&services.events),
                tracing::Span::current(),
                CONCURRENT,
            )),
            cache_mounts: Arc::clone(&common.cache_mounts),
            background: std::sync::Mutex::default(),
            span: tracing::Span::current(),
            told: std::sync::Mutex::default(),
            turns: common.turns.clone(),
            waiting: Waiting::default(),
        })
    }
}

/// Keeps what this build downloaded and what it was made from, for the next one to compare itself with.
async fn leave_trail(work: &Work, trail: Option<(String, Trail)>) {
    let Some(caches) = work.cache.as_ref().filter(|_| work.request.cache.push) else {
        return;
    };
    let made = format(work.services.clock.now());
    work.remotes.note(caches, &made).await;
    let Some((name, trail)) = trail else { return };
    if let Err(error) = caches.main().save_trail(&name, trail).await {
        // Layers that could not be written were told of; this alone is no loss worth a warning.
        tracing::debug!(%error, "writing what this build was made from");
    }
}

/// What the planner is asked for.
pub(crate) fn plan_request(
    request: &BuildRequest,
    inputs: &Inputs,
    platform: Option<&Platform>,
) -> Request {
    Request {
        targets: request.targets.clone(),
        build_args: inputs.build_args.clone(),
        labels: request.labels.clone(),
        platform: platform.cloned(),
        host: request.host.clone(),
        named: inputs.meanings.clone(),
        allow: request.run.allow.clone(),
        hostname: request.run.hostname.clone(),
        all_stages: false,
        kaniko: request.compat == Compat::Kaniko,
        ignore: inputs
            .context
            .ignore
            .as_ref()
            .map(|ignore| ignore.patterns.clone()),
    }
}

fn announce(work: &Work) {
    let mut steps = Vec::new();
    for stage in &work.plan.stages {
        let needed = work.schedule.needs(stage.id);
        for (index, step) in stage.steps.iter().enumerate() {
            let expectation = match () {
                () if !needed => Expectation::Skipped,
                () if !step.operation.makes_layer() => Expectation::Metadata,
                () if work.schedule.is_cached(stage, index) => Expectation::Cached,
                () => Expectation::Run,
            };
            steps.push(PlannedStep {
                id: step_id(stage.id, index),
                stage: stage.name.clone(),
                title: step.title.clone(),
                span: Some(step.span),
                expectation,
            });
        }
    }
    work.tell(Event::Planned { steps: &steps });
}

type Walked = (Assembled, Vec<Arc<FinishedLayer>>, Arc<Mutex<StageFiles>>);

/// Builds all stages that are needed, each as soon as those it reads from are there, and assembles the image.
async fn walk(work: &Arc<Work>) -> Result<Walked, BuildError> {
    let target = Stages::build(work).await?;
    let (layers, rows) = match work.request.snapshot.single {
        true => single_layer(work, &target).await?,
        false => (
            target.files.lock().await.layers().to_vec(),
            target.rows.to_vec(),
        ),
    };
    let layers = try_join_all(layers.iter().map(|layer| layer.finished())).await?;
    let layers = match work.request.format.force_compression {
        true => try_join_all(layers.iter().map(|layer| pack::recompressed(work, layer))).await?,
        false => layers,
    };
    let parts = Parts {
        config: &work.plan.target_stage().config,
        rows,
        base_rows: target.base_rows,
        layers: layers.iter().map(|layer| layer.listed.clone()).collect(),
    };
    let encoding = Encoding {
        media_types: work.request.format.media_types,
        base_family: target.base_family,
        annotations: &work
            .request
            .annotations
            .of_manifest(Some(&work.plan.target_stage().platform)),
        times: &work.request.times,
        epoch: work.plan.epoch,
    };
    Ok((
        assemble(parts, &encoding),
        layers,
        Arc::clone(&target.files),
    ))
}
