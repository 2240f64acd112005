//! The generated `/etc/hosts` and `/etc/resolv.conf`.

use std::fs;

use crate::spec::{Network, ResolvConf, RunSpec};

/// The content of `/etc/hosts`.
pub(crate) fn hosts(spec: &RunSpec) -> String {
    let mut text = format!(
        "127.0.0.1\tlocalhost {}\n::1\tlocalhost ip6-localhost ip6-loopback\n",
        spec.hostname
    );
    text.push_str(&added_hosts(spec));
    text
}

/// One line for each added host.
pub(crate) fn added_hosts(spec: &RunSpec) -> String {
    spec.hosts
        .iter()
        .map(|(address, name)| format!("{address}\t{}\n", name.to_lowercase()))
        .collect()
}

/// The content of `/etc/resolv.conf`.
pub(crate) fn resolv_conf(spec: &RunSpec) -> Vec<u8> {
    match (&spec.resolv_conf, spec.network) {
        (ResolvConf::Content(content), _) => content.clone(),
        (ResolvConf::Inherit, Network::None) => Vec::new(),
        (ResolvConf::Inherit, _) => fs::read("/etc/resolv.conf").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_hosts_follow_the_fixed_lines_in_lower_case() {
        let mut spec = RunSpec::new("/", ["true"]);
        spec.hosts = vec![
            ("10.0.0.1".into(), "Db".into()),
            ("::2".into(), "six".into()),
        ];
        assert_eq!(
            hosts(&spec),
            "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.1\tdb\n::2\tsix\n"
        );
    }
}
