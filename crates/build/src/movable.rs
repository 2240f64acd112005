//! Which contexts a command may move away while it runs.

use std::collections::BTreeSet;

use yadokari_plan::Source;
use yadokari_sandbox::Runner;

use crate::prepare::inputs::Inputs;

/// The contexts that do not stay where they are: rootswap moves what lies in no mount of the container.
#[derive(Debug)]
pub(crate) struct Movable {
    main: bool,
    named: BTreeSet<String>,
}

impl Movable {
    /// To be asked before the first command runs.
    pub(crate) fn find(runner: &dyn Runner, inputs: &Inputs) -> Self {
        let named = inputs.named.iter();
        let moved = named.filter(|(_, context)| !runner.leaves_in_place(context.path()));
        Self {
            main: !runner.leaves_in_place(inputs.context.path()),
            named: moved.map(|(name, _)| name.clone()).collect(),
        }
    }

    /// Whether a command may move away what a step reads.
    pub(crate) fn has(&self, source: &Source) -> bool {
        match source {
            Source::Context => self.main,
            Source::Named(name) => self.named.contains(name),
            // Those lie in the state directory.
            Source::Stage(_) | Source::Image(_) | Source::Scratch => false,
        }
    }
}
