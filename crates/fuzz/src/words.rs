//! The small languages inside instructions: words with variables, mounts, modes, ports, durations, options.

use yadokari_dockerfile::instruction::{Mount, RawMount};
use yadokari_dockerfile::value::{duration, mode::Mode, owner::Owner, port, quote, signal, size};
use yadokari_dockerfile::{CheckOptions, Expander};

/// Reads the bytes as each of them.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for escape in ['\\', '`'] {
        expand(&text, escape);
    }
    if let Ok(mode) = Mode::parse(&text) {
        assert!(mode.apply(0o644, false) <= 0o7777);
    }
    if let Ok(ports) = port::parse(&text) {
        assert!(ports.ports.iter().all(|port| port.contains('/')));
    }
    drop(CheckOptions::parse(&text));
    drop(duration::parse(&text));
    drop(signal::parse(&text));
    let _ = size::parse(&text);
    let _ = Owner::parse(&text).has_name();
    drop(quote::quoted(&text));
}

fn expand(text: &str, escape: char) {
    let lookup = |name: &str| match name {
        "set" => Some("a b".to_owned()),
        "empty" => Some(String::new()),
        _ => None,
    };
    let expander = Expander::new(escape, &lookup);
    if let Ok(expanded) = expander.expand_word(text) {
        assert!(
            !expanded
                .used
                .iter()
                .any(|name| expanded.undefined.contains(name))
        );
    }
    drop(expander.keeping_unset().expand_body(text));
    if let Ok(raw) = RawMount::parse(text) {
        drop(Mount::resolve(&raw, &expander));
    }
}
