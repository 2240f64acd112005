//! The capability sets of a command.

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities,
};

use crate::error::{At as _, Fault};

/// What container runtimes leave a command by default.
pub(crate) const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Whether this process has `capability` in effect.
pub(crate) fn may(capability: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|own| own.effective.contains(capability))
}

/// Takes everything but [`DEFAULT`] out of the bounding set, so that no executable can give it back.
///
/// Without `CAP_SETPCAP` the bounding set stays; then nothing but file capabilities
/// that the kernel's own rules already limit to the permitted set could use it.
pub(crate) fn limit_bounding_set() -> Result<(), Fault> {
    let own = capabilities(None).at("read the capabilities of", "/proc/self")?;
    if !own.effective.contains(CapabilitySet::SETPCAP) {
        return Ok(());
    }
    for capability in CapabilitySet::all().difference(DEFAULT).iter() {
        if capability_is_in_bounding_set(capability).unwrap_or(false) {
            remove_capability_from_bounding_set(capability)
                .at("drop a capability of", "/proc/self")?;
        }
    }
    Ok(())
}

/// Leaves user 0 the default set and every other user none.
pub(crate) fn limit(is_root: bool) -> Result<(), Fault> {
    let own = capabilities(None).at("read the capabilities of", "/proc/self")?;
    let kept = if is_root {
        own.permitted.intersection(DEFAULT)
    } else {
        CapabilitySet::empty()
    };
    // Kernels before 4.3 have no ambient set.
    let _ = clear_ambient_capability_set();
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).at("limit the capabilities of", "/proc/self")
}

/// Puts everything this process may have into every set, for `--security=insecure`.
pub(crate) fn keep_everything() -> Result<(), Fault> {
    let own = capabilities(None).at("read the capabilities of", "/proc/self")?;
    let all = own.permitted;
    let sets = CapabilitySets {
        effective: all,
        permitted: all,
        inheritable: all,
    };
    set_capabilities(None, sets).at("set the capabilities of", "/proc/self")?;
    for capability in all.iter() {
        configure_capability_in_ambient_set(capability, true)
            .at("keep a capability of", "/proc/self")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_set_is_the_one_of_container_runtimes() {
        assert_eq!(DEFAULT.bits(), 0xa804_25fb);
    }
}
