//! What every RUN gets, and the build arguments.

use std::net::IpAddr;

use yadokari_build::{Network, RunDefaults};

use super::{Given, UsageError, nonempty};
use crate::docker_config::build_proxies;
use crate::flags::go::Size;

/// The argument that buildx takes from the environment unasked.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Reads `--build-arg`. A bare name is taken from the environment, and left out when it is not set there.
///
/// The proxies of docker's configuration come first, as docker gives them to every build, so that flags win.
pub(super) fn build_args(given: Given<'_>) -> Vec<(String, String)> {
    let from_environment = |name: &str| {
        given
            .environment
            .variable(name)
            .map(|value| (name.to_owned(), value.to_owned()))
    };
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => from_environment(text),
    };
    let given_args = given.flags.kaniko.build_arg.iter().filter_map(pair);
    let epoch = given
        .environment
        .text(EPOCH)
        .map(|value| (EPOCH.to_owned(), value.to_owned()));
    let proxies = build_proxies(given.environment);
    proxies.into_iter().chain(epoch).chain(given_args).collect()
}

/// Reads `--network`, `--hostname`, `--add-host`, `--ulimit`, `--shm-size` and `--allow`.
pub(super) fn defaults(given: Given<'_>) -> Result<RunDefaults, UsageError> {
    let docker = &given.flags.docker;
    Ok(RunDefaults {
        network: network(docker.network.as_deref())?,
        hostname: nonempty(docker.hostname.as_deref()).map(str::to_owned),
        add_hosts: docker
            .add_host
            .iter()
            .map(|text| added_host(text))
            .collect::<Result<_, _>>()?,
        ulimits: docker
            .ulimit
            .iter()
            .map(|text| limit(text))
            .collect::<Result<_, _>>()?,
        shm_size: docker.shm_size.map(|Size(bytes)| bytes),
        allow: docker
            .allow
            .iter()
            .flat_map(|line| line.split(','))
            .map(entitlement)
            .collect::<Result<_, _>>()?,
    })
}

fn network(mode: Option<&str>) -> Result<Network, UsageError> {
    match mode {
        None | Some("" | "default") => Ok(Network::Default),
        Some("host") => Ok(Network::Host),
        Some("none") => Ok(Network::None),
        other => Err(UsageError::value(
            "network",
            other,
            "expected default, host or none",
        )),
    }
}

/// Reads `name:address` or `name=address`, where an IPv6 address may stand in brackets.
fn added_host(text: &str) -> Result<(String, String), UsageError> {
    let wrong = |reason| UsageError::value("add-host", Some(text), reason);
    let split = text.split_once('=').or_else(|| text.split_once(':'));
    let (name, address) = split
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| wrong("expected HOST:IP"))?;
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(address);
    if bare == "host-gateway" {
        return Err(wrong(
            "there is no gateway to a host: RUN has the executor's own network",
        ));
    }
    let address: IpAddr = bare
        .parse()
        .map_err(|_| wrong("the address is no IP address"))?;
    Ok((name.to_owned(), address.to_string()))
}

fn limit(text: &str) -> Result<String, UsageError> {
    let number =
        |value: &str| value == "unlimited" || value.parse::<i64>().is_ok_and(|value| value >= -1);
    let valid = text.split_once('=').is_some_and(|(name, values)| {
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        !name.is_empty() && number(soft) && number(hard)
    });
    if valid {
        Ok(text.to_owned())
    } else {
        Err(UsageError::value(
            "ulimit",
            Some(text),
            "expected NAME=SOFT[:HARD]",
        ))
    }
}

fn entitlement(text: &str) -> Result<String, UsageError> {
    match text.trim() {
        known @ ("network.host" | "security.insecure") => Ok(known.to_owned()),
        _ => Err(UsageError::value(
            "allow",
            Some(text),
            "expected network.host or security.insecure",
        )),
    }
}
