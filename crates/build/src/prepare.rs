//! Everything that is known before the first step runs: the plan, its keys, and what the caches have for them.

pub(crate) mod epoch;
mod facts;
pub(crate) mod images;
pub(crate) mod inputs;
pub(crate) mod read_keys;
pub(crate) mod schedule;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use tracing::Instrument as _;
use yadokari_cache::{Trail, Trails};
use yadokari_image::{Digest, Platform, Repository};
use yadokari_layer::Compression;
use yadokari_plan::{Base, Keys, Plan, Salt, StageId, keys};

use crate::caching::explain::{Comparison, Reasons, origin, stages, trail_name};
use crate::caching::image_match::add_images;
use crate::caching::lookup::{Caches, Hit, Hits, check, lookup_all};
use crate::caching::standing::usable;
use crate::checks::{sorted, tell};
use crate::drive::plan_request;
use crate::error::BuildError;
use crate::outputs::publish::repositories;
use crate::prepare::images::Resolved;
use crate::prepare::inputs::Inputs;
use crate::prepare::read_keys::FileKeys;
use crate::prepare::schedule::{Schedule, StepKey};
use crate::request::{BuildRequest, Compat};
use crate::services::Services;
use crate::step::remote::{Ground, Remotes};
use crate::time::format;
use crate::trace::work_span;
use crate::work::clamp;

/// What a build is prepared for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be carried out.
    Build,
    /// To be shown.
    Show,
    /// To be shown, with the reason for each step that has to be done.
    Explain,
}

/// A build that is ready to be carried out.
pub(crate) struct Prepared {
    pub(crate) resolved: Resolved,
    pub(crate) remotes: Remotes,
    pub(crate) keys: Keys,
    pub(crate) schedule: Schedule,
    pub(crate) caching: Caching,
}

/// What the caches have to do with a build.
#[derive(Debug, Default)]
pub(crate) struct Caching {
    pub(crate) caches: Option<Caches>,
    pub(crate) hits: Hits,
    /// Layers that destinations have by now.
    pub(crate) placed: HashSet<(Repository, Digest)>,
    pub(crate) reasons: Reasons,
    /// What the next build wants to know of this one, and under which name; nothing if it is all known.
    pub(crate) trail: Option<(String, Trail)>,
}

/// Plans a build for one platform and asks the caches. Layers in `distrusted` are not taken from them.
pub(crate) async fn prepare(
    request: &BuildRequest,
    services: &Services,
    inputs: &Inputs,
    platform: Option<&Platform>,
    scratch: &Path,
    (purpose, distrusted): (Purpose, &HashSet<Digest>),
) -> Result<Prepared, BuildError> {
    let wanted = plan_request(request, inputs, platform);
    let resolved = images::resolve(&inputs.parsed.dockerfile, &wanted, services)
        .instrument(work_span!("resolve", "base images"))
        .await;
    let warnings = sorted(inputs, &resolved);
    if platform == request.platforms.first() {
        // The other platforms' plans have the same warnings.
        tell(services, &warnings);
    }
    let resolved = resolved?;
    inputs.parsed.dockerfile.check.verdict(&warnings)?;
    let caches = Caches::new(request, services, distrusted);
    let ground = Ground {
        request,
        services,
        scratch,
        caches: caches.as_ref(),
    };
    let remotes = Remotes::look(&resolved.plan, ground).await?;
    let Some(caches) = caches else {
        let schedule = Schedule::new(&resolved.plan, HashSet::new(), wants_files(request));
        return Ok(Prepared {
            resolved,
            remotes,
            keys: Keys::default(),
            schedule,
            caching: Caching::default(),
        });
    };
    let salt = salt(request, &resolved.plan);
    let digesting = work_span!("digest", "contexts");
    let contents = FileKeys::new(&resolved.plan, inputs, &resolved.images, &remotes, services)
        .instrument(digesting.clone())
        .await?;
    let keys = digesting.in_scope(|| keys(&resolved.plan, &salt, &contents))?;
    drop(digesting);
    let asking = Asking {
        request,
        services,
        resolved: &resolved,
        keys,
        contents: &contents,
        salt: &salt,
        file: &inputs.file.name,
        caches,
        purpose,
    };
    let (schedule, caching) = asking
        .ask()
        .instrument(work_span!("look up", "layers"))
        .await;
    let keys = asking.keys;
    Ok(Prepared {
        resolved,
        remotes,
        keys,
        schedule,
        caching,
    })
}

/// A plan with keys, on its way to the caches.
struct Asking<'a> {
    request: &'a BuildRequest,
    services: &'a Services,
    resolved: &'a Resolved,
    keys: Keys,
    contents: &'a FileKeys<'a>,
    salt: &'a Salt,
    file: &'a str,
    caches: Caches,
    purpose: Purpose,
}

impl Asking<'_> {
    /// Asks for everything, drops what is gone, and finds out why the rest has to be done.
    async fn ask(&self) -> (Schedule, Caching) {
        let plan = &self.resolved.plan;
        let mut hits =
            lookup_all(self.request, self.services, plan, &self.keys, &self.caches).await;
        if !self.schedule(&hits).missing(plan).is_empty() {
            let plain = is_plain(self.salt, self.request);
            add_images(self.request, self.services, self.resolved, plain, &mut hits).await;
        }
        let (schedule, placed) = self.drop_what_is_gone(&mut hits).await;
        let mut caching = Caching {
            caches: Some(self.caches.clone()),
            placed,
            ..Caching::default()
        };
        let is_told = self.purpose != Purpose::Show;
        if is_told && !schedule.missing(plan).is_empty() {
            let (reasons, trail) = self.compare(&schedule, &hits).await;
            caching.reasons = reasons;
            caching.trail = Some(trail);
        }
        caching.hits = hits;
        (schedule, caching)
    }

    fn schedule(&self, hits: &Hits) -> Schedule {
        let plan = &self.resolved.plan;
        Schedule::new(plan, usable(plan, hits), wants_files(self.request))
    }

    /// Makes sure of every layer that will be used; without one, other steps may have to be done and other layers used.
    async fn drop_what_is_gone(
        &self,
        hits: &mut Hits,
    ) -> (Schedule, HashSet<(Repository, Digest)>) {
        let (mut checked, mut placed) = (HashSet::new(), HashSet::new());
        loop {
            let schedule = self.schedule(hits);
            let fresh: Vec<StepKey> = schedule
                .used()
                .filter(|step| checked.insert(*step))
                .collect();
            let used = fresh
                .iter()
                .map(|step| (*step, &hits[step], self.destinations(step.0, &hits[step])))
                .collect();
            let (mounted, gone) = check(self.services, &self.caches, used).await;
            placed.extend(mounted);
            if gone.is_empty() {
                return (schedule, placed);
            }
            gone.iter().for_each(|step| drop(hits.remove(step)));
        }
    }

    /// Where a layer goes as it is.
    fn destinations(&self, stage: StageId, hit: &Hit) -> Vec<Repository> {
        let goes_as_it_is = !self.request.snapshot.single && !self.request.format.force_compression;
        let is_published = self.purpose == Purpose::Build
            && self.request.outputs.push
            && is_part_of_target(&self.resolved.plan, stage);
        match is_published && goes_as_it_is && hit.repository().is_some() {
            true => repositories(self.request).into_iter().collect(),
            false => Vec::new(),
        }
    }

    async fn compare(&self, schedule: &Schedule, hits: &Hits) -> (Reasons, (String, Trail)) {
        let plan = &self.resolved.plan;
        let name = trail_name(plan, self.file);
        let now = Trail {
            made: format(self.services.clock.now()),
            origin: origin(self.request, self.file),
            stages: stages(plan, &self.keys, self.salt, self.contents),
        };
        let before = self.caches.main().trails(&name).await;
        let before = before.unwrap_or_else(|error| {
            tracing::debug!(%error, "reading what earlier builds were made from");
            Trails::default()
        });
        let comparison = Comparison {
            request: self.request,
            plan,
            schedule,
            hits,
            now: &now,
            before: &before,
        };
        // A first build has nothing to be compared with, and needs no telling so at every step.
        let is_first = before.builds.is_empty() && self.purpose != Purpose::Explain;
        let reasons = match is_first {
            true => HashMap::new(),
            false => comparison.reasons(),
        };
        (reasons, (name, now))
    }
}

/// Whether the files of the target are wanted themselves.
fn wants_files(request: &BuildRequest) -> bool {
    let mut files = request.outputs.files.iter();
    files.any(|output| output.kind.wants_files())
}

/// Whether a stage's layers are part of the image that is published.
fn is_part_of_target(plan: &Plan, stage: StageId) -> bool {
    let mut at = Some(plan.target);
    while let Some(id) = at {
        if id == stage {
            return true;
        }
        at = match plan.stage(id).map(|stage| &stage.base) {
            Some(Base::Stage(parent)) => Some(*parent),
            _ => None,
        };
    }
    false
}

/// What changes the bytes of layers without being an instruction.
pub(crate) fn salt(request: &BuildRequest, plan: &Plan) -> Salt {
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

/// What commands can see of the build's settings, or what is left out of their layers. Addresses of added hosts are
/// left out, as the reference does.
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
    let ignored = request.snapshot.ignore_paths.iter();
    seen.extend(ignored.map(|path| format!("ignored {}", path.display())));
    seen
}

/// Whether nothing was asked for that the history of an image does not tell.
fn is_plain(salt: &Salt, request: &BuildRequest) -> bool {
    let plain = |network: &str| vec![network.to_owned(), String::new()];
    let network = format!("{:?}", request.run.network);
    salt.clamp.is_none()
        && salt.compat.is_empty()
        && request.run.network == crate::request::Network::Default
        && salt.run == plain(&network)
}
