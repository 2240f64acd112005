//! Ports of EXPOSE: `[ip:][host:]port[-port][/protocol]`.

use crate::value::quote::quoted;

/// An expanded EXPOSE word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSpec {
    /// The ports, each as `80/tcp`, in order.
    pub ports: Vec<String>,
    /// Whether an address or a host port is written, which has no effect.
    pub has_host_part: bool,
    /// Whether the protocol is written with capitals.
    pub has_uppercase_protocol: bool,
}

/// A port that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// The port is no number below 65536, nor a range of such.
    #[error("invalid containerPort: {0}")]
    Container(String),
    /// The same for the host port.
    #[error("invalid hostPort: {0}")]
    Host(String),
    /// The protocol is none of tcp, udp and sctp.
    #[error("invalid port: {}: invalid proto: {protocol}", quoted(.word))]
    Protocol {
        /// The whole word.
        word: String,
        /// The protocol.
        protocol: String,
    },
    /// The address is none.
    #[error("invalid IP address: {0}")]
    Address(String),
    /// There is no port.
    #[error("no port specified: {0}<empty>")]
    Missing(String),
    /// Two ranges of different length.
    #[error("invalid ranges specified for container and host Ports: {container} and {host}")]
    Ranges {
        /// The range in the container.
        container: String,
        /// The range on the host.
        host: String,
    },
}

/// Reads one expanded word.
///
/// # Errors
///
/// If it is no port.
pub fn parse(word: &str) -> Result<PortSpec, PortError> {
    let (before, protocol) = word.split_once('/').unwrap_or((word, ""));
    let lower = if protocol.is_empty() {
        "tcp".to_owned()
    } else {
        protocol.to_lowercase()
    };
    if !matches!(lower.as_str(), "tcp" | "udp" | "sctp") {
        return Err(PortError::Protocol {
            word: word.to_owned(),
            protocol: protocol.to_owned(),
        });
    }
    let (address, host, container) = parts(before);
    check_address(address)?;
    if container.is_empty() {
        return Err(PortError::Missing(word.to_owned()));
    }
    let (first, last) =
        range(container).ok_or_else(|| PortError::Container(container.to_owned()))?;
    check_host(host, container, last - first)?;
    Ok(PortSpec {
        ports: (first..=last)
            .map(|port| format!("{port}/{lower}"))
            .collect(),
        has_host_part: before.contains(':'),
        has_uppercase_protocol: protocol != protocol.to_lowercase(),
    })
}

fn parts(text: &str) -> (&str, &str, &str) {
    let Some((rest, container)) = text.rsplit_once(':') else {
        return ("", "", text);
    };
    match rest.rsplit_once(':') {
        Some((address, host)) => (address, host, container),
        None => ("", rest, container),
    }
}

fn check_address(address: &str) -> Result<(), PortError> {
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(address);
    if bare.is_empty() && address.is_empty() || bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    Err(PortError::Address(address.to_owned()))
}

fn check_host(host: &str, container: &str, length: u16) -> Result<(), PortError> {
    if host.is_empty() {
        return Ok(());
    }
    let (first, last) = range(host).ok_or_else(|| PortError::Host(host.to_owned()))?;
    if length != 0 && last - first != length {
        return Err(PortError::Ranges {
            container: container.to_owned(),
            host: host.to_owned(),
        });
    }
    Ok(())
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

fn number(text: &str) -> Option<u16> {
    text.parse()
        .ok()
        .filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read() {
        for (word, ports, host_part) in [
            ("80", vec!["80/tcp"], false),
            ("0080", vec!["80/tcp"], false),
            ("0", vec!["0/tcp"], false),
            ("443/TCP", vec!["443/tcp"], false),
            (
                "9000-9002/udp",
                vec!["9000/udp", "9001/udp", "9002/udp"],
                false,
            ),
            ("1.2.3.4:80:81", vec!["81/tcp"], true),
            ("[::1]:80:81/sctp", vec!["81/sctp"], true),
            ("90-92:93-95/udp", vec!["93/udp", "94/udp", "95/udp"], true),
            ("90-92:93", vec!["93/tcp"], true),
        ] {
            let spec = parse(word).unwrap();
            assert_eq!(
                (spec.ports, spec.has_host_part),
                (ports.into_iter().map(str::to_owned).collect(), host_part),
                "{word}"
            );
        }
        assert!(parse("80/TCP").unwrap().has_uppercase_protocol);
    }

    #[test]
    fn other_words_are_refused() {
        for (word, message) in [
            ("80/foo", "invalid port: \"80/foo\": invalid proto: foo"),
            ("5-3", "invalid containerPort: 5-3"),
            ("[\"80\"]", "invalid containerPort: [\"80\"]"),
            ("foo", "invalid containerPort: foo"),
            ("70000", "invalid containerPort: 70000"),
            ("+1", "invalid containerPort: +1"),
            ("x:80", "invalid hostPort: x"),
            ("300.0.0.1:1:2", "invalid IP address: 300.0.0.1"),
            (
                "1-2:3-5",
                "invalid ranges specified for container and host Ports: 3-5 and 1-2",
            ),
        ] {
            assert_eq!(parse(word).unwrap_err().to_string(), message);
        }
    }
}
