//! The [`Runner`] for where no isolation works: a build without commands needs none.

use crate::cancel::Cancel;
use crate::error::RunError;
use crate::probe::Probe;
use crate::runner::{Abilities, Exit, Runner, Stream};
use crate::spec::{Isolation, RunSpec};

/// Refuses every command, with the reasons that a probe found.
#[derive(Clone, Debug)]
pub struct Nowhere {
    obstacles: Vec<String>,
}

impl Nowhere {
    /// Refuses with what `probe` found.
    pub fn new(probe: &Probe) -> Self {
        let found = probe
            .attempts
            .iter()
            .filter_map(|attempt| Some((attempt.isolation, attempt.obstacle.as_ref()?)));
        Self {
            obstacles: found
                .map(|(isolation, obstacle)| format!("{isolation}: {}", obstacle.reason))
                .collect(),
        }
    }

    fn refusal(&self) -> RunError {
        RunError::NoIsolation {
            obstacles: self.obstacles.clone(),
        }
    }
}

impl Runner for Nowhere {
    fn run(
        &self,
        _: &RunSpec,
        _: &mut dyn FnMut(Stream, &[u8]),
        _: &Cancel,
    ) -> Result<Exit, RunError> {
        Err(self.refusal())
    }

    fn ready(&self) -> Result<(), RunError> {
        Err(self.refusal())
    }

    /// The one that asks for least.
    fn isolation(&self) -> Isolation {
        Isolation::Chroot
    }

    fn abilities(&self) -> Abilities {
        Abilities::of(self.isolation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Attempt, Obstacle};

    #[test]
    fn the_refusal_names_every_obstacle() {
        let attempt = |isolation| Attempt {
            isolation,
            obstacle: Some(Obstacle {
                reason: format!("no {isolation}"),
                remedy: String::new(),
            }),
            notes: Vec::new(),
            landlock: 0,
            overlay: false,
        };
        let probe = Probe {
            attempts: Isolation::ALL.map(attempt).to_vec(),
        };
        let error = Nowhere::new(&probe).ready().unwrap_err();
        assert_eq!(
            error.to_string(),
            "no kind of isolation works here (namespaces: no namespaces; rootswap: no rootswap; chroot: no chroot)"
        );
    }
}
