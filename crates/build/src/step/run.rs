//! RUN.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use tracing::Instrument as _;
use yadokari_dockerfile::value::quote::quoted;
use yadokari_plan::{Run, RunNetwork};
use yadokari_rootfs::Root;
use yadokari_sandbox::{self as sandbox, ResolvConf, RunSpec, Security, Ulimit, User};
use yadokari_tree::{Tree, diff};

use super::mounts::Prepared;
use super::snapshots::Snapshots;
use super::workdir::with_directory;
use super::{At, Made, read_accounts};
use crate::blocking::blocking;
use crate::copy::{Origins, Owner};
use crate::error::{BuildError, BuildErrorKind};
use crate::events::Event;
use crate::request::{BuildRequest, Network, RunDefaults};
use crate::stage::files::StageFiles;
use crate::time::timestamp;
use crate::trace::work_span;
use crate::users::RunAs;
use crate::work::step_id;

/// Runs the command in the stage's root and finds what it changed.
pub(crate) async fn run(at: At<'_>, run: &Run, files: &mut StageFiles) -> Result<Made, BuildError> {
    check_runner(at, run)?;
    let snapshots = Snapshots::prepare(at, files).await?;
    let (root, tree) = files.root(at.work).await?;
    let user = user(run, &root)?;
    let tree = make_working_directory(at, run, &user, &root, tree).await?;
    let mounts = Prepared::new(at, run, &tree).await?;
    let mut spec = spec(at, run, &user, &root, &mounts)?;
    let running = snapshots.start(&root, tree, &mut spec).await?;
    execute(at, run, spec).await?;
    mounts.finish(at).await?;
    running.finish(at, root).await
}

/// Where nothing can be run, no root is unpacked for it.
fn check_runner(at: At<'_>, run: &Run) -> Result<(), BuildError> {
    let ready = at.work.services.runner.ready();
    ready.map_err(|source| {
        BuildErrorKind::Run {
            command: shown(run),
            source,
        }
        .into()
    })
}

fn user(run: &Run, root: &Root) -> Result<RunAs, BuildError> {
    read_accounts(root).run_as(&run.user).map_err(|source| {
        BuildErrorKind::User {
            command: shown(run),
            source,
        }
        .into()
    })
}

/// The command as messages show it.
fn shown(run: &Run) -> String {
    quoted(&run.argv.join(" "))
}

/// A working directory that does not exist is made for the user, and stays in the layer.
async fn make_working_directory(
    at: At<'_>,
    run: &Run,
    user: &RunAs,
    root: &Arc<Root>,
    tree: Tree,
) -> Result<Tree, BuildError> {
    let owner = Owner {
        uid: user.uid,
        gid: user.gid,
    };
    let now = timestamp(at.work.services.clock.now());
    let after = with_directory(&tree, &run.cwd, owner, now)?;
    let changes = diff(&tree, &after);
    if changes.is_empty() {
        return Ok(tree);
    }
    let root = Arc::clone(root);
    blocking(move || yadokari_rootfs::apply(&root, &changes, &Origins::default())).await?;
    Ok(after)
}

fn spec(
    at: At<'_>,
    run: &Run,
    user: &RunAs,
    root: &Root,
    mounts: &Prepared,
) -> Result<RunSpec, BuildError> {
    let request = &at.work.request;
    let defaults = &request.run;
    let mut spec = RunSpec::new(root.path(), &run.argv);
    spec.env = environment(run, user, mounts);
    spec.cwd = PathBuf::from(&run.cwd);
    spec.user = User {
        uid: user.uid,
        gid: user.gid,
        groups: user.groups.clone(),
    };
    if let Some(hostname) = hostname(request) {
        spec.hostname.clone_from(hostname);
    }
    spec.hosts = defaults
        .add_hosts
        .iter()
        .map(|(name, address)| (address.clone(), name.to_lowercase()))
        .collect();
    spec.network = network(run.network, defaults);
    spec.security = if run.insecure {
        Security::Insecure
    } else {
        Security::Sandbox
    };
    spec.mounts = mounts.mounts().to_vec();
    spec.ulimits = defaults
        .ulimits
        .iter()
        .map(|text| ulimit(text))
        .collect::<Result<_, _>>()?;
    spec.shm_size = defaults.shm_size;
    spec.resolv_conf = ResolvConf::Inherit;
    spec.hidden = vec![request.state_dir.clone(), at.work.context.path().to_owned()];
    spec.spares = Some(at.work.scratch.path().join("spares"));
    Ok(spec)
}

/// The host name of a command: the request's, or the one a build argument gives.
pub(crate) fn hostname(request: &BuildRequest) -> Option<&String> {
    const ARGUMENT: &str = "BUILDKIT_SANDBOX_HOSTNAME";
    let given = request
        .build_args
        .iter()
        .rev()
        .find(|(name, _)| name == ARGUMENT)
        .map(|(_, value)| value);
    request.run.hostname.as_ref().or(given)
}

/// The image's variables, then proxies, HOME and variables that are secrets.
fn environment(run: &Run, user: &RunAs, mounts: &Prepared) -> Vec<(OsString, OsString)> {
    let mut env: Vec<(String, String)> = run.env.clone();
    env.extend(run.proxies.iter().cloned());
    let is_set = |env: &[(String, String)], name: &str| env.iter().any(|(known, _)| known == name);
    if !is_set(&env, "HOME") {
        env.push(("HOME".to_owned(), user.home.clone()));
    }
    let mut env: Vec<(OsString, OsString)> = env
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    for (name, value) in mounts.variables() {
        let taken = env.iter().any(|(known, _)| known == name);
        // An agent's socket does not replace a variable that the Dockerfile sets.
        if !(taken && name == "SSH_AUTH_SOCK") {
            env.retain(|(known, _)| known != name);
            env.push((name.clone(), value.clone()));
        }
    }
    env
}

fn network(asked: RunNetwork, defaults: &RunDefaults) -> sandbox::Network {
    match (asked, defaults.network) {
        (RunNetwork::None, _) | (RunNetwork::Default, Network::None) => sandbox::Network::None,
        (RunNetwork::Host, _) | (RunNetwork::Default, Network::Host) => sandbox::Network::Host,
        (RunNetwork::Default, Network::Default) => sandbox::Network::Default,
    }
}

/// Reads `name=soft[:hard]`; `-1` is no limit.
fn ulimit(text: &str) -> Result<Ulimit, BuildError> {
    let bad = || {
        BuildErrorKind::Refused(format!(
            "invalid ulimit {text:?}: write it as name=soft[:hard]"
        ))
    };
    let (name, limits) = text.split_once('=').ok_or_else(bad)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| match text {
        "-1" => Ok(u64::MAX),
        text => text.parse().map_err(|_| bad()),
    };
    Ok(Ulimit {
        name: name.to_owned(),
        soft: number(soft)?,
        hard: number(hard)?,
    })
}

/// Runs the command on a thread of its own, alone where the isolation allows only one at a time.
async fn execute(at: At<'_>, run: &Run, spec: RunSpec) -> Result<(), BuildError> {
    let runner = Arc::clone(&at.work.services.runner);
    let events = Arc::clone(&at.work.services.events);
    let cancel = at.work.services.cancel.clone();
    let step = step_id(at.stage.id, at.index);
    let (alone, beside) = match runner.abilities().parallel {
        false => (Some(at.alone().await), None),
        true => (None, Some(Arc::clone(&at.work.ground).read_owned().await)),
    };
    let exit = blocking(move || {
        let mut output = |stream, bytes: &[u8]| {
            events.on(Event::Output {
                step,
                stream,
                bytes,
            });
        };
        let exit = runner.run(&spec, &mut output, &cancel);
        drop((alone, beside));
        exit
    })
    .instrument(work_span!("run", "{}", shown(run)))
    .await;
    match exit {
        Ok(exit) => {
            for note in &exit.notes {
                at.work.notice(&note.to_string());
            }
            if exit.success() {
                return Ok(());
            }
            Err(BuildErrorKind::Failed {
                command: shown(run),
                code: exit.code,
                cause: exit.cause(),
            }
            .into())
        }
        Err(sandbox::RunError::Cancelled) => Err(BuildErrorKind::Cancelled.into()),
        Err(source @ sandbox::RunError::Unsupported { .. }) => {
            Err(BuildErrorKind::Unable(source).into())
        }
        Err(source) => Err(BuildErrorKind::Run {
            command: shown(run),
            source,
        }
        .into()),
    }
}
