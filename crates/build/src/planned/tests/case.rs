//! A case of the folder: builds as files say them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use yadokari_context::{BuildContext, ContextFiles, keep_all};
use yadokari_dockerfile::ignore::Patterns;
use yadokari_dockerfile::parse;
use yadokari_image::{Digest, ImageConfig, Platform, Reference};
use yadokari_layer::Compression;
use yadokari_plan::{
    ImageKey, ImageSource, Images, NamedContext, Plan, Progress, Remote, Request, plan,
};

use crate::prepare::images::SourceImage;
use crate::prepare::read_keys::FileKeys;
use crate::request::{
    Annotations, BuildRequest, CacheMountRequest, CacheRequest, Compat, Contexts, Format,
    KeepMounts, MediaTypes, NoCache, Outputs, RunDefaults, Secrets, SnapshotRequest, Times,
};
use crate::step::remote::Remotes;

/// A build, and what happened before it.
pub(super) struct Case {
    pub(super) now: Build,
    /// Earlier builds, the first one first.
    pub(super) earlier: Vec<Build>,
    /// Instructions whose records are gone.
    pub(super) lost: Vec<String>,
}

impl Case {
    pub(super) fn read(folder: &Path) -> Self {
        let now = Build::read(&[folder]);
        let known = fs::read_to_string(folder.join("known")).ok();
        let (mut earlier, mut lost) = (Vec::new(), Vec::new());
        for line in known.iter().flat_map(|text| text.lines()) {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("build", name) => {
                    let own = folder.join(name);
                    assert!(own.is_dir(), "{} is there", own.display());
                    earlier.push(Build::read(&[&own, folder]));
                }
                ("lost", title) => lost.push(title.to_owned()),
                ("#" | "", _) => {}
                _ => panic!("{line:?} in {}", folder.display()),
            }
        }
        if known.is_some() && earlier.is_empty() {
            earlier.push(Build::read(&[folder]));
        }
        Self { now, earlier, lost }
    }
}

/// A build.
pub(super) struct Build {
    pub(super) request: BuildRequest,
    /// The name of the Dockerfile.
    pub(super) file: String,
    dockerfile: String,
    /// Folders with the parts of the build, the first that has one counts.
    folders: Vec<PathBuf>,
}

/// The files that a build reads.
pub(super) struct ContextsRead {
    main: Arc<ContextFiles>,
    named: HashMap<String, Arc<ContextFiles>>,
}

impl ContextsRead {
    pub(super) fn keys<'k>(
        &self,
        images: &'k BTreeMap<ImageKey, SourceImage>,
        remotes: &'k Remotes,
    ) -> FileKeys<'k> {
        FileKeys::of(Arc::clone(&self.main), self.named.clone(), images, remotes)
    }
}

impl Build {
    fn read(folders: &[&Path]) -> Self {
        let mut build = Self {
            request: request(),
            file: "Dockerfile".to_owned(),
            dockerfile: String::new(),
            folders: folders.iter().map(|path| (*path).to_owned()).collect(),
        };
        build.dockerfile = build.text("Dockerfile").expect("a case has a Dockerfile");
        let arguments = build.text("arguments").unwrap_or_default();
        for line in arguments.lines().filter(|line| !line.starts_with('#')) {
            let (flag, value) = line.split_once([' ', '=']).unwrap_or((line, ""));
            build.set(flag, value);
        }
        build
    }

    fn set(&mut self, flag: &str, value: &str) {
        let request = &mut self.request;
        let pair = || {
            let (name, value) = value.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        };
        match flag {
            "--target" => request.targets = value.split(',').map(str::to_owned).collect(),
            "--build-arg" => request.build_args.push(pair()),
            "--label" => request.labels.extend([pair()]),
            "--platform" => request.platforms = vec![Platform::parse(value).unwrap()],
            "--build-context" => {
                let named = (value.to_owned(), value.to_owned());
                request.contexts.named.push(named);
            }
            "--tag" => {
                let reference = Reference::parse(value).unwrap();
                request.outputs.destinations.push(reference);
            }
            "--add-host" => {
                let (name, address) = value.split_once(':').unwrap();
                let host = (name.to_owned(), address.to_owned());
                request.run.add_hosts.push(host);
            }
            "--compression" => {
                assert_eq!(value, "zstd");
                request.format.compression = Compression::Zstd { level: 3 };
            }
            "--reproducible" => request.times.reproducible = true,
            "--compat" => request.compat = Compat::Kaniko,
            "--no-cache" => request.cache.no_cache = NoCache::All,
            "--no-cache-filter" => {
                request.cache.no_cache = NoCache::Stages(vec![value.to_owned()]);
            }
            "--cache-run-layers" => request.cache.run_layers = value == "true",
            "--cache-copy-layers" => request.cache.copy_layers = value == "true",
            "--file" => {
                self.file = value.to_owned();
            }
            _ => panic!("{flag} is no flag of cases"),
        }
    }

    fn part(&self, name: &str) -> Option<PathBuf> {
        let mut places = self.folders.iter().map(|folder| folder.join(name));
        places.find(|path| path.exists())
    }

    fn text(&self, name: &str) -> Option<String> {
        Some(fs::read_to_string(self.part(name)?).unwrap())
    }

    /// Plans, with the images of the case; others have nothing but a name.
    pub(super) fn plan(&self) -> (Plan, BTreeMap<ImageKey, SourceImage>) {
        let parsed = parse(self.dockerfile.as_bytes()).unwrap();
        let (request, mut known, mut images) = (self.asked(), Images::new(), BTreeMap::new());
        loop {
            match plan(&parsed.dockerfile, &request, &known).unwrap() {
                Progress::Ready(plan) => return (*plan, images),
                Progress::NeedsImages(missing) => {
                    for wanted in missing {
                        let image = self.image(&wanted.key);
                        known.insert(wanted.key.clone(), image.for_planner());
                        images.insert(wanted.key, image);
                    }
                }
            }
        }
    }

    fn image(&self, key: &ImageKey) -> SourceImage {
        let ImageSource::Registry(reference) = &key.source else {
            panic!("cases have no layouts");
        };
        let name = reference.familiar().replace('/', "_");
        let name = name.trim_end_matches(":latest");
        let config = match self.text(&format!("images/{name}.json")) {
            Some(text) => ImageConfig::parse(text.as_bytes()).unwrap(),
            None => ImageConfig::new(&key.platform),
        };
        SourceImage::known(reference, config)
    }

    fn asked(&self) -> Request {
        let request = &self.request;
        let named = request.contexts.named.iter();
        Request {
            targets: request.targets.clone(),
            build_args: request.build_args.clone(),
            labels: request.labels.clone(),
            platform: request.platforms.first().cloned(),
            host: request.host.clone(),
            named: named
                .map(|(name, _)| (name.clone(), NamedContext::Files))
                .collect(),
            allow: Vec::new(),
            hostname: None,
            all_stages: false,
            kaniko: request.compat == Compat::Kaniko,
            ignore: None,
        }
    }

    pub(super) fn contexts(&self) -> ContextsRead {
        let named = self.request.contexts.named.iter();
        let named = named.map(|(name, _)| (name.clone(), self.files(&format!("contexts/{name}"))));
        ContextsRead {
            named: named.collect(),
            main: self.files("context"),
        }
    }

    /// The files that ADD downloads: each line of `remotes` has a URL and what is there.
    pub(super) fn remotes(&self) -> Remotes {
        let text = self.text("remotes").unwrap_or_default();
        let files = text.lines().map(|line| {
            let (url, content) = line.split_once(' ').unwrap();
            let remote = Remote {
                url: url.to_owned(),
                git: false,
                checksum: None,
                keep_git_dir: None,
            };
            (remote, Digest::of(content.as_bytes()))
        });
        Remotes::said(&files.collect::<Vec<_>>())
    }

    /// The files of a context; a case without one has an empty one.
    fn files(&self, name: &str) -> Arc<ContextFiles> {
        let empty = tempfile::tempdir().unwrap();
        let path = self.part(name).unwrap_or_else(|| empty.path().to_owned());
        let context = BuildContext::directory(&path).unwrap();
        let files = match fs::read(path.join(".dockerignore")) {
            Ok(text) => context.files_without(&Patterns::parse(&text).unwrap(), 1),
            Err(_) => context.files(&keep_all, 1),
        };
        Arc::new(files.unwrap())
    }
}

/// What a command line without flags asks for.
fn request() -> BuildRequest {
    BuildRequest {
        contexts: Contexts::default(),
        dockerfile: String::new(),
        dockerfile_name: None,
        targets: Vec::new(),
        build_args: Vec::new(),
        labels: BTreeMap::new(),
        annotations: Annotations::default(),
        platforms: Vec::new(),
        host: Platform::new("linux", "amd64"),
        secrets: Secrets::default(),
        run: RunDefaults::default(),
        cache: CacheRequest {
            enabled: true,
            repository: None,
            sources: Vec::new(),
            scopes: Vec::new(),
            ttl: Duration::MAX,
            run_layers: true,
            copy_layers: true,
            push: true,
            no_cache: NoCache::Never,
        },
        cache_mounts: CacheMountRequest {
            keep: KeepMounts::Off,
            limit: None,
        },
        warmed: None,
        outputs: Outputs::default(),
        format: Format {
            media_types: MediaTypes::Oci,
            compression: Compression::Gzip { level: 6 },
            force_compression: false,
        },
        times: Times::default(),
        compat: Compat::Buildkit,
        snapshot: SnapshotRequest::default(),
        limits: yadokari_layer::Limits::default(),
        state_dir: PathBuf::new(),
        check: None,
    }
}
