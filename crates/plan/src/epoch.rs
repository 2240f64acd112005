//! `SOURCE_DATE_EPOCH`: the time that history rows carry, as a number or as something that has a time.

use yadokari_dockerfile::Dockerfile;

use crate::error::{PlanError, PlanErrorKind};
use crate::model::{Base, Operation, Remote, Request};
use crate::planner::{Images, Progress, plan};

/// The build argument's name.
const NAME: &str = "SOURCE_DATE_EPOCH";

/// What a build's epoch is taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Epoch {
    /// There is none.
    Unset,
    /// Seconds since 1970.
    Seconds(i64),
    /// The time of the main context (`context`), of a named context, or of the one remote source of a stage.
    ///
    /// Whoever has these replaces the build argument by seconds before [`plan()`] is called.
    Of(String),
}

impl Epoch {
    /// Reads the build argument, or else the default of a global ARG.
    ///
    /// # Errors
    ///
    /// If the value is neither a number nor a possible name.
    pub fn asked(
        dockerfile: &Dockerfile,
        build_args: &[(String, String)],
    ) -> Result<Self, PlanError> {
        let given = build_args.iter().rev().find(|(name, _)| name == NAME);
        let given = given.map(|(_, value)| value.as_str());
        match given.or_else(|| declared(dockerfile)) {
            None | Some("") => Ok(Self::Unset),
            Some("context") => Ok(Self::Of("context".to_owned())),
            Some(text) => match text.parse() {
                Ok(seconds) => Ok(Self::Seconds(seconds)),
                Err(_) if is_name(text) => Ok(Self::Of(text.to_owned())),
                Err(_) => Err(PlanErrorKind::Epoch(text.to_owned()).nowhere()),
            },
        }
    }

    /// Build arguments in which the epoch is a number, or missing.
    pub fn settled(
        dockerfile: &Dockerfile,
        build_args: &[(String, String)],
        seconds: Option<i64>,
    ) -> Vec<(String, String)> {
        let mut settled = build_args.to_vec();
        settled.retain(|(name, _)| name != NAME);
        let value = seconds.map(|seconds| seconds.to_string());
        // An empty argument outdoes a default that names a context without a time.
        let value = value.or_else(|| declared(dockerfile).map(|_| String::new()));
        settled.extend(value.map(|value| (NAME.to_owned(), value)));
        settled
    }
}

fn declared(dockerfile: &Dockerfile) -> Option<&str> {
    let arguments = dockerfile.global_args.iter();
    let mut declarations = arguments.flat_map(|arg| &arg.value.declarations);
    let last = declarations.rfind(|declaration| declaration.name == NAME)?;
    last.default.as_deref()
}

/// A number with a fault is not taken for a name.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic())
}

/// The one remote source of a stage that is nothing else: `FROM scratch` and one ADD.
///
/// # Errors
///
/// [`PlanErrorKind::Epoch`] if there is no such stage, and whatever is wrong with it.
pub fn remote_of_stage(
    dockerfile: &Dockerfile,
    request: &Request,
    name: &str,
) -> Result<Remote, PlanError> {
    let unfit = || PlanErrorKind::Epoch(name.to_owned()).nowhere();
    dockerfile.stage_named(name).ok_or_else(unfit)?;
    let alone = Request {
        targets: vec![name.to_owned()],
        build_args: Epoch::settled(dockerfile, &request.build_args, None),
        all_stages: false,
        ..request.clone()
    };
    let Progress::Ready(planned) = plan(dockerfile, &alone, &Images::new())? else {
        return Err(unfit());
    };
    let stage = planned.target_stage();
    let mut operations = stage.steps.iter().map(|step| &step.operation);
    let mut operations = operations
        .by_ref()
        .filter(|operation| !matches!(operation, Operation::Metadata));
    match (&stage.base, operations.next(), operations.next()) {
        (Base::Scratch, Some(Operation::Copy(copy)), None)
            if copy.sources.is_empty() && copy.documents.is_empty() =>
        {
            match copy.remotes.as_slice() {
                [remote] => Ok(remote.clone()),
                _ => Err(unfit()),
            }
        }
        _ => Err(unfit()),
    }
}
