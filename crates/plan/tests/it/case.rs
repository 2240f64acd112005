//! A build to be planned, with images that exist as far as a test says so.

use std::collections::BTreeMap;

use yadokari_dockerfile::ignore::Patterns;
use yadokari_dockerfile::parse;
use yadokari_image::{ContainerConfig, DiffId, Digest, ImageConfig, Platform, Reference, RootFs};
use yadokari_plan::{
    ImageKey, ImageSource, Images, NamedContext, Operation, Plan, PlanError, Progress, Request,
    ResolvedImage, Run, plan,
};

/// A Dockerfile and everything a plan is a function of.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    text: String,
    pub(crate) request: Request,
    images: BTreeMap<String, ImageConfig>,
}

impl Case {
    pub(crate) fn new(text: &str) -> Self {
        let request = Request {
            targets: Vec::new(),
            build_args: Vec::new(),
            labels: BTreeMap::new(),
            platform: None,
            host: Platform::new("linux", "amd64"),
            named: BTreeMap::new(),
            allow: Vec::new(),
            hostname: None,
            all_stages: false,
            kaniko: false,
            ignore: None,
        };
        Self {
            text: text.to_owned(),
            request,
            images: BTreeMap::new(),
        }
    }

    pub(crate) fn arg(mut self, name: &str, value: &str) -> Self {
        self.request
            .build_args
            .push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn target(mut self, name: &str) -> Self {
        self.request.targets.push(name.to_owned());
        self
    }

    pub(crate) fn platform(mut self, text: &str) -> Self {
        self.request.platform = Some(Platform::parse(text).unwrap());
        self
    }

    pub(crate) fn host(mut self, text: &str) -> Self {
        self.request.host = Platform::parse(text).unwrap();
        self
    }

    pub(crate) fn named(mut self, name: &str, context: NamedContext) -> Self {
        self.request.named.insert(name.to_owned(), context);
        self
    }

    pub(crate) fn named_image(self, name: &str, reference: &str) -> Self {
        let reference = Reference::parse(reference).unwrap().with_default_tag();
        self.named(name, NamedContext::Image(ImageSource::Registry(reference)))
    }

    pub(crate) fn allow(mut self, right: &str) -> Self {
        self.request.allow.push(right.to_owned());
        self
    }

    pub(crate) fn ignoring(mut self, text: &str) -> Self {
        self.request.ignore = Some(Patterns::parse(text.as_bytes()).unwrap());
        self
    }

    pub(crate) fn all_stages(mut self) -> Self {
        self.request.all_stages = true;
        self
    }

    /// Gives the image of this name a configuration; others have one layer and a PATH.
    pub(crate) fn image(mut self, name: &str, change: impl FnOnce(&mut ImageConfig)) -> Self {
        let mut config = ordinary(&self.wanted());
        change(&mut config);
        self.images.insert(name.to_owned(), config);
        self
    }

    fn wanted(&self) -> Platform {
        self.request
            .platform
            .clone()
            .unwrap_or_else(|| self.request.host.clone())
    }

    /// Plans, handing in images as they are asked for; also the words they were asked for by.
    fn run(&self) -> Result<(Plan, Vec<String>), PlanError> {
        let parsed = parse(self.text.as_bytes()).unwrap();
        let (mut images, mut asked) = (Images::new(), Vec::new());
        loop {
            match plan(&parsed.dockerfile, &self.request, &images)? {
                Progress::Ready(plan) => return Ok((*plan, asked)),
                Progress::NeedsImages(missing) => {
                    for request in missing {
                        let resolved = self.resolved(&request.key);
                        assert!(
                            images.insert(request.key, resolved).is_none(),
                            "{} was known",
                            request.word
                        );
                        asked.push(request.word);
                    }
                }
            }
        }
    }

    fn resolved(&self, key: &ImageKey) -> ResolvedImage {
        let name = match &key.source {
            ImageSource::Registry(reference) => reference.familiar(),
            ImageSource::Layout(path) => path.clone(),
        };
        let short = name.strip_suffix(":latest").unwrap_or(&name);
        let config = self
            .images
            .get(short)
            .cloned()
            .unwrap_or_else(|| ordinary(&key.platform));
        let bytes = config.to_bytes();
        ResolvedImage {
            manifest: Digest::of(name.as_bytes()),
            config_digest: Digest::of(&bytes),
            config,
        }
    }

    pub(crate) fn plan(&self) -> Plan {
        match self.run() {
            Ok((plan, _)) => plan,
            Err(error) => panic!("{error}\n{}", self.text),
        }
    }

    /// The words of the images that the plan asked for, sorted.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = self.run().unwrap().1;
        asked.sort();
        asked
    }

    /// `line-line: message` of the error.
    pub(crate) fn error(&self) -> String {
        let error = self.failure();
        match error.span {
            Some(span) => format!("{}-{}: {error}", span.first_line, span.last_line),
            None => format!("-: {error}"),
        }
    }

    /// What is wrong, and where.
    pub(crate) fn failure(&self) -> PlanError {
        match self.run() {
            Ok((plan, _)) => panic!("planned: {plan}"),
            Err(error) => error,
        }
    }

    /// The build checks that planning raised.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.plan()
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// The plan's text.
    pub(crate) fn text(&self) -> String {
        self.plan().to_string()
    }

    /// What the last RUN of the target sees, without the default PATH.
    pub(crate) fn environment(&self) -> String {
        let plan = self.plan();
        let run = runs(&plan).pop().expect("a RUN");
        let pairs = run.env.iter().filter(|(name, _)| name != "PATH");
        pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The target's configuration.
    pub(crate) fn config(&self) -> ContainerConfig {
        self.plan().target_stage().config.config.clone()
    }

    /// The history rows of the target's own steps.
    pub(crate) fn history(&self) -> Vec<String> {
        let plan = self.plan();
        let steps = plan.target_stage().steps.iter();
        steps
            .filter_map(|step| step.history.as_ref())
            .map(|row| row.created_by.clone())
            .collect()
    }
}

/// The RUNs of the target stage.
pub(crate) fn runs(plan: &Plan) -> Vec<Run> {
    let operations = plan.target_stage().steps.iter().map(|step| &step.operation);
    operations
        .filter_map(|operation| match operation {
            Operation::Run(run) => Some((**run).clone()),
            _ => None,
        })
        .collect()
}

/// An image of one layer.
fn ordinary(platform: &Platform) -> ImageConfig {
    ImageConfig {
        os: platform.os.clone(),
        architecture: platform.architecture.clone(),
        variant: platform.variant.clone(),
        config: ContainerConfig {
            env: vec!["PATH=/bin".to_owned()],
            ..ContainerConfig::default()
        },
        rootfs: RootFs {
            kind: "layers".to_owned(),
            diff_ids: Some(vec![DiffId::from_digest(Digest::of(b"layer"))]),
        },
        ..ImageConfig::default()
    }
}

pub(crate) fn plan_text(dockerfile: &str) -> String {
    Case::new(dockerfile).text()
}

/// What the last RUN of a Dockerfile sees.
pub(crate) fn environment(dockerfile: &str) -> String {
    Case::new(dockerfile).environment()
}
