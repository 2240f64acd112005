//! Services of Compose files that build on others, and files that change what earlier ones say.

use std::collections::BTreeMap;

use super::target::Target;

/// A service of a Compose file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Service {
    /// It has a `build:` section.
    pub(super) builds: bool,
    /// The image it is known by.
    pub(super) image: Option<String>,
    /// What its build is given.
    pub(super) target: Target,
}

/// What happens to lists of which there are two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    /// The later one follows the earlier one, as in Compose.
    Join,
    /// The later one takes the earlier one's place, as in bake files.
    Replace,
}

/// Adds a service, or changes the one of that name.
pub(super) fn merge_into(services: &mut BTreeMap<String, Service>, name: String, service: Service) {
    match services.remove(&name) {
        Some(earlier) => services.insert(name, earlier.with(service)),
        None => services.insert(name, service),
    };
}

impl Service {
    /// This service with what another says.
    pub(super) fn with(self, later: Self) -> Self {
        Self {
            builds: self.builds || later.builds,
            image: later.image.or(self.image),
            target: self.target.with(later.target, Lists::Join),
        }
    }
}

impl Target {
    /// This target with what another says.
    pub(super) fn with(mut self, later: Self, lists: Lists) -> Self {
        if !later.context.is_empty() {
            self.context = later.context;
            self.context_in = later.context_in;
        }
        if later.inline.is_some() {
            self.dockerfile = None;
            self.inline_in = later.inline_in;
        }
        if later.dockerfile.is_some() {
            self.inline = None;
        }
        self.args.extend(later.args);
        self.labels.extend(later.labels);
        self.contexts.extend(later.contexts);
        let options = [
            (&mut self.dockerfile, later.dockerfile),
            (&mut self.inline, later.inline),
            (&mut self.target, later.target),
            (&mut self.network, later.network),
            (&mut self.shm_size, later.shm_size),
        ];
        for (mine, theirs) in options {
            *mine = theirs.or(mine.take());
        }
        let switches = [
            (&mut self.no_cache, later.no_cache),
            (&mut self.pull, later.pull),
        ];
        for (mine, theirs) in switches {
            *mine = theirs.or(*mine);
        }
        let words = [
            (&mut self.tags, later.tags),
            (&mut self.annotations, later.annotations),
            (&mut self.platforms, later.platforms),
            (&mut self.cache_from, later.cache_from),
            (&mut self.cache_to, later.cache_to),
            (&mut self.output, later.output),
            (&mut self.ssh, later.ssh),
            (&mut self.extra_hosts, later.extra_hosts),
            (&mut self.ulimits, later.ulimits),
            (&mut self.allow, later.allow),
            (&mut self.no_cache_filter, later.no_cache_filter),
            (&mut self.profiles, later.profiles),
        ];
        for (mine, theirs) in words {
            join(mine, theirs, lists);
        }
        join(&mut self.secrets, later.secrets, lists);
        self
    }
}

fn join<T: PartialEq>(mine: &mut Vec<T>, theirs: Vec<T>, lists: Lists) {
    if lists == Lists::Replace && !theirs.is_empty() {
        *mine = theirs;
        return;
    }
    for item in theirs {
        if !mine.contains(&item) {
            mine.push(item);
        }
    }
}
