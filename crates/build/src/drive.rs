//! A build from request to image, told once.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures::FutureExt as _;
use futures::future::{join_all, try_join_all};
use tempfile::TempDir;
use tokio::sync::{Mutex, RwLock, Semaphore};
use yadokari_cache::{LayerCache, Location as CachePlace, Record};
use yadokari_image::{Digest, Platform};
use yadokari_layer::Compression;
use yadokari_plan::{Keys, Operation, Plan, Request, Salt, Stage, StageId, keys};
use yadokari_store::Spool;

use crate::assemble::{Assembled, Encoding, Parts, assemble};
use crate::cancel::unless_cancelled;
use crate::checks::sorted;
use crate::error::BuildError;
use crate::events::{Event, Expectation, PlannedStep};
use crate::files::StageFiles;
use crate::images::{self, Resolved};
use crate::inputs::Inputs;
use crate::layers::FinishedLayer;
use crate::pack;
use crate::publish::{CONCURRENT, Finished, publish, refuse_unpushable};
use crate::read_keys::FileKeys;
use crate::record::chain;
use crate::request::{BuildRequest, CacheLocation, Compat, NoCache};
use crate::schedule::{Schedule, StepKey};
use crate::services::Services;
use crate::single::single_layer;
use crate::stage::{self, StageFuture};
use crate::state::Scratch;
use crate::step::remote::Remotes;
use crate::work::{Work, clamp, step_id};

/// An image that was built.
#[derive(Debug, Clone)]
pub struct Built {
    /// Digest of the manifest, or of the index of several platforms.
    pub digest: Digest,
    /// Digest of the image's configuration; of the first platform's.
    pub config: Digest,
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
    let built = unless_cancelled(&services.cancel, carry_out(request, services, &ground)).await;
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
        Inputs::load(request, services, scratch.path()),
        refuse_unpushable(request, services)
    )?;
    let platforms: Vec<Option<&Platform>> = match request.platforms.as_slice() {
        [] => vec![None],
        several => several.iter().map(Some).collect(),
    };
    let mut finished = Vec::with_capacity(platforms.len());
    for platform in platforms {
        let image = image(request, services, &inputs, platform, &scratch, ground).await;
        finished.push(image.map_err(|error| error.in_file(&inputs.file))?);
    }
    publish(request, services, finished).await
}

/// What the planner is asked for.
pub(crate) fn plan_request(
    request: &BuildRequest,
    inputs: &Inputs,
    platform: Option<&Platform>,
) -> Request {
    Request {
        targets: request.targets.clone(),
        build_args: request.build_args.clone(),
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

/// Everything that is known before the first step runs.
pub(crate) struct Prepared {
    pub(crate) resolved: Resolved,
    remotes: Remotes,
    pub(crate) keys: Keys,
    cache: Option<LayerCache>,
    pub(crate) hits: HashMap<StepKey, Record>,
}

pub(crate) async fn prepare(
    request: &BuildRequest,
    services: &Services,
    inputs: &Inputs,
    platform: Option<&Platform>,
    scratch: &Path,
) -> Result<Prepared, BuildError> {
    let wanted = plan_request(request, inputs, platform);
    let resolved = images::resolve(&inputs.parsed.dockerfile, &wanted, services).await?;
    let warnings = sorted(inputs, resolved.plan.warnings.clone());
    if platform == request.platforms.first() {
        // The other platforms' plans have the same warnings.
        warnings
            .iter()
            .for_each(|warning| services.events.on(Event::Lint(warning)));
    }
    inputs.parsed.dockerfile.check.verdict(&warnings)?;
    let remotes = Remotes::fetch(&resolved.plan, request, services, scratch).await?;
    let cache = cache(request, services);
    let keys = match &cache {
        Some(_) => {
            let contents =
                FileKeys::new(&resolved.plan, inputs, &resolved.images, &remotes, services).await?;
            keys(&resolved.plan, &salt(request, &resolved.plan), &contents)?
        }
        None => Keys::default(),
    };
    let hits = match &cache {
        Some(cache) => lookup(request, services, &resolved.plan, &keys, cache).await,
        None => HashMap::new(),
    };
    Ok(Prepared {
        resolved,
        remotes,
        keys,
        cache,
        hits,
    })
}

/// What changes the bytes of layers without being an instruction.
fn salt(request: &BuildRequest, plan: &Plan) -> Salt {
    let encoding = match request.format.compression {
        Compression::None => "tar",
        Compression::Gzip { .. } => "gzip",
        Compression::Zstd { .. } => "zstd",
    };
    let compat = match request.compat {
        Compat::Buildkit => "",
        Compat::Kaniko => "kaniko",
    };
    Salt {
        encoding: encoding.to_owned(),
        clamp: clamp(request, plan),
        compat: compat.to_owned(),
        run: seen_by_runs(request),
    }
}

/// What commands can see of the build's settings. Addresses of added hosts are left out, as the reference does.
fn seen_by_runs(request: &BuildRequest) -> Vec<String> {
    let run = &request.run;
    let mut seen = vec![
        format!("{:?}", run.network),
        run.shm_size
            .map_or_else(String::new, |size| size.to_string()),
    ];
    seen.extend(crate::step::run::hostname(request).map(|name| format!("hostname {name}")));
    seen.extend(run.add_hosts.iter().map(|(name, _)| format!("host {name}")));
    seen.extend(run.ulimits.iter().map(|limit| format!("limit {limit}")));
    seen
}

/// The cache of the request; without a place of its own it lies beside the first destination.
fn cache(request: &BuildRequest, services: &Services) -> Option<LayerCache> {
    if !request.cache.enabled {
        return None;
    }
    let place = match &request.cache.repository {
        Some(CacheLocation::Repository(reference)) => {
            CachePlace::Repository(reference.name().clone())
        }
        Some(CacheLocation::Directory(path)) => CachePlace::Directory(path.clone()),
        None => CachePlace::Repository(
            request
                .outputs
                .destinations
                .first()?
                .name()
                .join("cache")
                .ok()?,
        ),
    };
    Some(LayerCache::new(
        place,
        &services.registry,
        request.cache.ttl,
    ))
}

/// Asks the cache for all keys at once. A cache that cannot answer is a miss, told once.
async fn lookup(
    request: &BuildRequest,
    services: &Services,
    plan: &Plan,
    keys: &Keys,
    cache: &LayerCache,
) -> HashMap<StepKey, Record> {
    let now = services.clock.now();
    let asked = plan
        .stages
        .iter()
        .filter(|stage| !is_excluded(request, stage))
        .flat_map(|stage| {
            let layers = stage
                .steps
                .iter()
                .enumerate()
                .filter(|(_, step)| is_looked_up(request, &step.operation));
            layers.filter_map(|(index, _)| Some(((stage.id, index), keys.step(stage.id, index)?)))
        });
    let answers =
        join_all(asked.map(|(step, key)| async move { (step, cache.lookup(key, now).await) }))
            .await;
    let mut hits = HashMap::new();
    let mut told = false;
    for (step, answer) in answers {
        match answer {
            Ok(Some(record)) => {
                hits.insert(step, record);
            }
            Ok(None) => {}
            Err(error) if !told => {
                told = true;
                services.events.on(Event::Notice(&format!(
                    "the layer cache cannot be read: {}",
                    chain(&error)
                )));
            }
            Err(_) => {}
        }
    }
    hits
}

fn is_looked_up(request: &BuildRequest, operation: &Operation) -> bool {
    match operation {
        Operation::Metadata => false,
        Operation::Run(_) => request.cache.run_layers,
        Operation::Copy(_) => request.cache.copy_layers,
        Operation::Workdir(_) => true,
    }
}

fn is_excluded(request: &BuildRequest, stage: &Stage) -> bool {
    match &request.cache.no_cache {
        NoCache::Never => false,
        NoCache::All => true,
        NoCache::Stages(names) => names
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&stage.name)),
    }
}

/// Builds the image of one platform.
async fn image(
    request: &BuildRequest,
    services: &Services,
    inputs: &Inputs,
    platform: Option<&Platform>,
    scratch: &Arc<Scratch>,
    ground: &Arc<RwLock<()>>,
) -> Result<Finished, BuildError> {
    let prepared = prepare(request, services, inputs, platform, scratch.path()).await?;
    let work = Arc::new(work(request, services, inputs, prepared, scratch, ground)?);
    announce(&work);
    let result = walk(&work).await;
    work.settle().await;
    let (assembled, layers, files) = result?;
    Ok(Finished {
        assembled,
        layers,
        files,
        work,
    })
}

fn work(
    request: &BuildRequest,
    services: &Services,
    inputs: &Inputs,
    prepared: Prepared,
    scratch: &Arc<Scratch>,
    ground: &Arc<RwLock<()>>,
) -> Result<Work, BuildError> {
    let Prepared {
        resolved,
        remotes,
        keys,
        cache,
        hits,
    } = prepared;
    let files_wanted = request
        .outputs
        .files
        .iter()
        .any(|output| output.kind.wants_files());
    let schedule = Schedule::new(
        &resolved.plan,
        &|step| hits.contains_key(&step),
        files_wanted,
    );
    let roots = TempDir::with_prefix_in("roots-", scratch.path())
        .map_err(|source| BuildError::disk(scratch.path(), source))?;
    let image_files = schedule.images.iter().enumerate().map(|(index, key)| {
        let directory = roots.path().join(format!("image-{index}"));
        let files = StageFiles::new(resolved.images[key].layers(), directory);
        (key.clone(), Arc::new(Mutex::new(files)))
    });
    Ok(Work {
        image_files: image_files.collect(),
        request: Arc::new(request.clone()),
        services: services.clone(),
        plan: resolved.plan,
        schedule,
        keys,
        hits,
        cache,
        context: Arc::clone(&inputs.context),
        named: inputs.named.clone(),
        images: resolved.images,
        remotes,
        spool: Spool::open(request.state_dir.join("blobs"))?,
        roots: Arc::new(roots),
        _scratch: Arc::clone(scratch),
        ground: Arc::clone(ground),
        transfers: AtomicU64::new(0),
        cache_locks: Mutex::default(),
        background: std::sync::Mutex::default(),
        told: std::sync::Mutex::default(),
        uploads: Semaphore::new(CONCURRENT),
    })
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
    let mut stages: HashMap<StageId, StageFuture> = HashMap::new();
    for stage in work
        .plan
        .stages
        .iter()
        .filter(|stage| work.schedule.needs(stage.id))
    {
        let others = stages.clone();
        let future = stage::build(Arc::clone(work), stage.id, others)
            .boxed()
            .shared();
        stages.insert(stage.id, future);
    }
    try_join_all(stages.values().cloned()).await?;
    let target = stages[&work.plan.target].clone().await?;
    let (layers, rows) = match work.request.snapshot.single {
        true => single_layer(work, &target).await?,
        false => (
            target.files.lock().await.layers().to_vec(),
            target.rows.clone(),
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
        annotations: &work.request.annotations,
        times: &work.request.times,
        epoch: work.plan.epoch,
    };
    Ok((
        assemble(parts, &encoding),
        layers,
        Arc::clone(&target.files),
    ))
}
