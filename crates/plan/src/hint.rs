//! What to do about a Dockerfile that cannot be planned.

use crate::error::{Link, PlanErrorKind};

impl PlanErrorKind {
    /// What to do about it, where something can be said that the message does not say.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::BlankBase(word) => {
                format!("give {word} a default with ARG above the first FROM, or a value with --build-arg")
            }
            Self::Cycle { links, .. } => circle(links),
            Self::CopyForward { from, .. } | Self::MountForward { from, .. } => {
                format!("move the stage {from:?} above this one; stages are built from those above them")
            }
            Self::VariableInFrom | Self::VariableInMountFrom => {
                "write `FROM $NAME AS source` above, and name that stage here".to_owned()
            }
            Self::EmptyPlatform { .. } => {
                "give the variable a value with --build-arg, or leave --platform out".to_owned()
            }
            Self::BadPlatform { .. } => "write it as os/architecture, as in linux/amd64".to_owned(),
            Self::StageIndex(_) => "stages are counted from 0 over all FROM lines; names are safer".to_owned(),
            Self::TargetUnknown { .. } => {
                "a target is the name behind AS in a FROM line; numbers are not targets".to_owned()
            }
            Self::BadContext { .. } => {
                "a context is a directory, a URL, docker-image://NAME or oci-layout://DIRECTORY".to_owned()
            }
            Self::NoArguments => "write the command into the list: RUN [\"executable\", \"argument\"]".to_owned(),
            Self::NotAllowed(right) => format!("allow it with `--allow {right}`"),
            Self::Device => "remove --device; the command gets the devices every container has".to_owned(),
            Self::CopyRemote(_) => "use ADD, which fetches remote sources".to_owned(),
            Self::ChecksumMany => "write one ADD for each source".to_owned(),
            Self::OwnerWithoutFiles(_) => "give the user and the group as numbers".to_owned(),
            Self::Epoch(_) => {
                "give seconds since 1970, or `context`, or the name of a context or of a stage that is one remote ADD"
                    .to_owned()
            }
            _ => return None,
        })
    }
}

fn circle(links: &[Link]) -> String {
    if let [own] = links {
        return format!("line {} reads from its own stage {:?}", own.line, own.stage);
    }
    let next = links.iter().cycle().skip(1);
    let needs: Vec<_> = links
        .iter()
        .zip(next)
        .map(|(link, next)| {
            format!(
                "{:?} needs {:?} (line {})",
                link.stage, next.stage, link.line
            )
        })
        .collect();
    format!("break the circle: {}", needs.join(", "))
}
