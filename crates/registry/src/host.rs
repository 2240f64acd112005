//! What a registry's host name says: Docker Hub's aliases, loopback addresses.

use std::net::{IpAddr, Ipv6Addr};

/// The name Docker Hub goes by in image names.
pub(crate) const DOCKER_HUB: &str = "docker.io";

/// One name for a host that has several.
pub(crate) fn canonical(host: &str) -> &str {
    match host {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => DOCKER_HUB,
        host => host,
    }
}

/// The host that answers API requests for a registry.
pub(crate) fn api(host: &str) -> &str {
    match canonical(host) {
        DOCKER_HUB => "registry-1.docker.io",
        _ => host,
    }
}

/// The host without its port and without the brackets of an IPv6 literal.
pub(crate) fn without_port(host: &str) -> &str {
    if let Some(literal) = host.strip_prefix('[') {
        return literal.split(']').next().unwrap_or(literal);
    }
    host.split(':').next().unwrap_or(host)
}

/// Whether a host is this machine, which needs no leave for plain HTTP.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = without_port(host);
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback(),
        Ok(IpAddr::V6(address)) => address == Ipv6Addr::LOCALHOST,
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_from_names_that_look_like_it() {
        let cases = [
            ("localhost", true),
            ("localhost:5000", true),
            ("a.localhost:1", true),
            ("127.0.0.1", true),
            ("127.9.9.9:80", true),
            ("[::1]:5000", true),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com", false),
            ("10.0.0.1:5000", false),
            ("[::2]", false),
        ];
        for (host, expected) in cases {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }

    #[test]
    fn docker_hub_has_one_name_and_one_api() {
        assert_eq!(canonical("index.docker.io"), "docker.io");
        assert_eq!(api("docker.io"), "registry-1.docker.io");
        assert_eq!(api("ghcr.io"), "ghcr.io");
    }
}
