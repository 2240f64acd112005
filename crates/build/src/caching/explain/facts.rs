//! What the keys of a build are made of, as the next builds want to know it.

use yadokari_cache::{Fact, Origin, TrailStage, TrailStep};
use yadokari_dockerfile::secret::{holds_secret, is_secret_name, redacted};
use yadokari_image::Digest;
use yadokari_plan::{Base, Ingredient, Keys, Plan, Salt, Stage, StageId};

use crate::prepare::read_keys::FileKeys;
use crate::request::BuildRequest;

/// What builds are called that are compared with one another: those of one file name and platform.
pub(crate) fn trail_name(plan: &Plan, file: &str) -> String {
    format!("{:?} {}", end(file, 1), plan.target_stage().platform)
}

/// What tells a build apart from others whose trails have the same name.
///
/// Machines keep projects in different places, so of paths only the end counts.
pub(crate) fn origin(request: &BuildRequest, file: &str) -> Origin {
    let contexts = &request.contexts;
    let named = contexts.named.iter().map(|(name, _)| name);
    let arguments = request.build_args.iter().map(|(name, _)| name);
    let inputs = (
        end(file, 2),
        end(&contexts.main, 1),
        contexts.sub_path.as_ref(),
        &request.targets,
        sorted(named),
        sorted(arguments),
    );
    let outputs = request.outputs.destinations.iter();
    let outputs: Vec<String> = outputs
        .map(|destination| destination.name().to_string())
        .collect();
    let outputs = sorted(outputs.iter());
    Origin {
        inputs: digits(format!("{inputs:?}").as_bytes()),
        outputs: match outputs.is_empty() {
            true => String::new(),
            false => digits(format!("{outputs:?}").as_bytes()),
        },
    }
}

/// The last components of a path.
fn end(path: &str, components: usize) -> String {
    let path = path.trim_end_matches('/');
    let mut last: Vec<&str> = path.rsplit('/').take(components).collect();
    last.reverse();
    last.join("/")
}

fn sorted<'n>(names: impl Iterator<Item = &'n String>) -> Vec<&'n String> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn digits(bytes: &[u8]) -> String {
    Digest::of(bytes).hex()[..16].to_owned()
}

/// What the keys of a plan are made of.
pub(crate) fn stages(
    plan: &Plan,
    keys: &Keys,
    salt: &Salt,
    contents: &FileKeys<'_>,
) -> Vec<TrailStage> {
    let stage = |stage: &Stage| {
        let steps = stage.steps.iter().enumerate();
        let steps = steps.filter_map(|(index, step)| {
            Some(TrailStep {
                title: step.title.clone(),
                key: keys.step(stage.id, index)?.to_string(),
                facts: numbered(
                    facts(plan, keys.ingredients(stage.id, index))
                        .chain(contents.remote_facts(&step.operation)),
                ),
                files: contents.facts(&step.operation),
            })
        });
        let (base, base_digest) = base(plan, stage);
        TrailStage {
            name: stage.name.clone(),
            base,
            base_digest,
            facts: settings(stage, salt),
            steps: steps.collect(),
        }
    };
    plan.stages.iter().map(stage).collect()
}

fn base(plan: &Plan, stage: &Stage) -> (String, String) {
    match &stage.base {
        Base::Scratch => ("scratch".to_owned(), String::new()),
        Base::Image(image) => (image.word.clone(), image.config.to_string()),
        Base::Context(name) => (name.clone(), String::new()),
        Base::Stage(id) => (stage_name(plan, *id), String::new()),
    }
}

pub(super) fn stage_name(plan: &Plan, id: StageId) -> String {
    plan.stage(id)
        .map_or_else(|| id.to_string(), |stage| stage.name.clone())
}

fn settings(stage: &Stage, salt: &Salt) -> Vec<Fact> {
    let clamp = salt.clamp.map(|clamp| clamp.to_string());
    let compat = Some(&salt.compat).filter(|compat| !compat.is_empty());
    let all = [
        ("the platform", Some(stage.platform.to_string())),
        ("the compression", Some(salt.encoding.clone())),
        ("the latest time", clamp),
        ("--compat", compat.cloned()),
    ];
    all.into_iter()
        .filter_map(|(name, value)| {
            Some(Fact {
                name: name.to_owned(),
                value: Some(value?),
            })
        })
        .collect()
}

/// What people want to know of a key's ingredients. What is below a step is told of the steps there.
fn facts<'a>(plan: &'a Plan, ingredients: &'a [Ingredient]) -> impl Iterator<Item = Fact> + 'a {
    ingredients.iter().filter_map(|one| fact(plan, one))
}

/// The same with names that differ.
fn numbered(all: impl Iterator<Item = Fact>) -> Vec<Fact> {
    let mut facts: Vec<Fact> = Vec::new();
    for fact in all {
        let same = facts
            .iter()
            .filter(|known| is_numbered(&known.name, &fact.name));
        let name = match same.count() {
            0 => fact.name,
            again => format!("{} ({})", fact.name, again + 1),
        };
        facts.push(Fact { name, ..fact });
    }
    facts
}

fn fact(plan: &Plan, ingredient: &Ingredient) -> Option<Fact> {
    let (name, value) = match ingredient {
        Ingredient::Below(_) => return None,
        Ingredient::Text(name, text) => ((*name).to_owned(), plain(text)),
        Ingredient::Bytes(name, bytes) => ((*name).to_owned(), Some(marked(bytes))),
        Ingredient::Number("mode", mode) => ("mode".to_owned(), Some(format!("{mode:04o}"))),
        Ingredient::Number(name, number) => ((*name).to_owned(), Some(number.to_string())),
        Ingredient::List("settings of the build", items) => {
            let told = items.iter().map(String::as_str);
            let told: Vec<&str> = told.filter(|item| !item.is_empty()).collect();
            let name = "what commands see of the build";
            (name.to_owned(), plain(&told.join(", ")))
        }
        Ingredient::List(name, items) => ((*name).to_owned(), plain(&items.join(" "))),
        Ingredient::Variable { name, value } => {
            let hidden = is_secret_name(name) || holds_secret(value);
            (format!("variable {name}"), (!hidden).then(|| shown(value)))
        }
        Ingredient::Content(name, content) => ((*name).to_owned(), Some(marked(&content.0))),
        Ingredient::Taking(taking) => {
            let name = match taking.stage {
                Some(stage) => format!("what stage {} is made of", stage_name(plan, stage)),
                None => "the image that is read".to_owned(),
            };
            (name, Some(format!("#{}", &taking.tree.to_string()[..12])))
        }
    };
    Some(Fact { name, value })
}

/// Whether a name is this one, alone or with a number behind it.
fn is_numbered(known: &str, name: &str) -> bool {
    known
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(" ("))
}

/// A text that stands in the Dockerfile, where there is nothing in it to hide.
fn plain(text: &str) -> Option<String> {
    (redacted(text) == text).then(|| shown(text))
}

/// A value as it is kept: a long one by its beginning and a digest.
fn shown(value: &str) -> String {
    const LONGEST: usize = 60;
    let line = value.replace(['\n', '\r', '\t'], " ");
    if line.chars().count() <= LONGEST {
        return format!("`{line}`");
    }
    let start: String = line.chars().take(LONGEST).collect();
    let digest = &Digest::of(value.as_bytes()).hex()[..12];
    format!("`{start}…` ({digest})")
}

/// A digest as it is kept; the mark says that its digits mean nothing to people.
fn marked(bytes: &[u8]) -> String {
    format!("#{}", &Digest::of(bytes).hex()[..12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_paths_only_the_end_counts() {
        assert_eq!(end("/builds/group/web/Dockerfile", 2), "web/Dockerfile");
        assert_eq!(end("dir:///builds/group/web/", 1), "web");
        assert_eq!(end("Dockerfile", 2), "Dockerfile");
        assert_eq!(end("", 1), "");
    }

    #[test]
    fn values_are_kept_short_and_on_one_line() {
        assert_eq!(shown("1.0"), "`1.0`");
        assert_eq!(shown("a\nb"), "`a b`");
        let long = shown(&"x".repeat(100));
        assert!(
            long.starts_with("`xxx") && long.chars().count() < 90,
            "{long}"
        );
        assert_ne!(shown(&"x".repeat(100)), shown(&"x".repeat(101)));
    }

    #[test]
    fn of_what_looks_secret_nothing_is_kept() {
        let plan = crate::prepare::schedule::tests::planned("FROM scratch\nRUN a", &[]);
        let variable = |name: &str, value: &str| Ingredient::Variable {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let ingredients = [
            variable("NPM_TOKEN", "hunter2"),
            variable("INDEX", "https://me:hunter2@pypi.example/simple"),
            variable("GITHUB_PAT", "hunter2"),
            variable("dbPassword", "hunter2"),
            variable("FILE", "https://s3.example/f?X-Amz-Signature=hunter2"),
            variable("DATABASE", "postgres:me:hunter2@db"),
            variable("SETTINGS", "Server=db;Password=hunter2"),
            Ingredient::List("command", vec!["curl https://me:hunter2@h".to_owned()]),
            variable("VERSION", "1.0"),
            variable("PLAIN", "https://pypi.example/@scope"),
            Ingredient::List("command", vec!["make".to_owned()]),
        ];
        let told = numbered(facts(&plan, &ingredients));
        let text = format!("{told:?}");
        assert!(!text.contains("hunter2"), "{text}");
        let shown: Vec<_> = told.iter().filter(|fact| fact.value.is_some()).collect();
        let shown: Vec<_> = shown.iter().map(|fact| fact.name.as_str()).collect();
        assert_eq!(shown, ["variable VERSION", "variable PLAIN", "command (2)"]);
    }

    #[test]
    fn facts_of_one_name_are_numbered() {
        let plan = crate::prepare::schedule::tests::planned("FROM scratch\nRUN a", &[]);
        let text = |value: &str| Ingredient::Text("mount", value.to_owned());
        let all = [text("a"), text("b"), text("c")];
        let names: Vec<_> = numbered(facts(&plan, &all))
            .into_iter()
            .map(|fact| fact.name)
            .collect();
        assert_eq!(names, ["mount", "mount (2)", "mount (3)"]);
    }
}
