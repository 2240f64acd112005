//! Over generated Dockerfiles: what changes no result changes no key, and a file changes what reads it and no more.

use proptest::prelude::*;
use yadokari_plan::{Key, Operation, Salt};

use crate::case::Case;
use crate::inputs::{Inputs, keys_of, layer_keys};

/// Lines of two stages: what reads files, what reads variables, what reads neither.
fn line() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "RUN one",
        "RUN two $A",
        "RUN --mount=target=/m,source=alpha three",
        "RUN --mount=type=cache,target=/c four",
        "RUN --mount=type=secret,id=s five",
        "ENV E=1",
        "ARG A",
        "ARG B=default",
        "COPY alpha /d/",
        "COPY beta /d/",
        "COPY alpha beta /d/",
        "COPY --link beta /l/",
        "ADD https://example.invalid/gamma /r/",
        "WORKDIR /w",
        "USER app",
        "SHELL [\"/bin/sh\", \"-ec\"]",
        "LABEL l=1",
        "CMD [\"run\"]",
    ])
}

fn lines() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(line(), 1..7)
}

/// A stage, another that takes from it, and their lines.
fn dockerfile(one: &[&str], two: &[&str]) -> String {
    format!(
        "FROM base AS first\n{}\nFROM base AS second\nCOPY --from=first /d /first\n{}\n",
        one.join("\n"),
        two.join("\n")
    )
}

fn built(text: &str) -> Case {
    Case::new(text).arg("A", "1").arg("B", "2")
}

/// The keys of all layers of all stages.
fn all_keys(case: &Case) -> Vec<Key> {
    let plan = case.plan();
    let keys = keys_of(&plan, &Salt::default(), &Inputs::default());
    let steps = plan.stages.iter().flat_map(|stage| {
        let steps = 0..stage.steps.len();
        steps.map(move |index| (stage.id, index))
    });
    steps
        .filter_map(|(stage, step)| keys.step(stage, step))
        .collect()
}

/// A way to write or to start a build: what it is called, and the build that a text becomes.
type Way = (&'static str, fn(&str) -> Case);

/// Ways that change no result.
const HARMLESS: [Way; 14] = [
    ("comments and blank lines", |text| {
        built(&text.replace('\n', "\n# a comment\n\n"))
    }),
    ("a directive", |text| {
        built(&format!("# syntax=docker/dockerfile:1\n{text}"))
    }),
    ("instructions in small letters", |text| {
        built(&text.replace("RUN ", "run ").replace("COPY ", "copy "))
    }),
    ("more space", |text| built(&text.replace("RUN ", "RUN   "))),
    ("labels of the file", |text| {
        built(&text.replace("AS first\n", "AS first\nLABEL commit=1\n"))
    }),
    ("other metadata", |text| {
        built(&text.replace(
            "AS second\n",
            "AS second\nEXPOSE 80\nVOLUME /v\nSTOPSIGNAL 9\nHEALTHCHECK NONE\nENTRYPOINT [\"x\"]\nMAINTAINER m\n",
        ))
    }),
    ("a label of the build", |text| {
        let mut case = built(text);
        case.request.labels.insert("build".into(), "7".into());
        case
    }),
    ("an argument nobody declares", |text| {
        built(text).arg("NOBODY", "1")
    }),
    ("an argument before the first stage", |text| {
        built(&format!("ARG GLOBAL=1\n{text}")).arg("GLOBAL", "2")
    }),
    ("an argument without a value", |text| {
        built(&text.replace("AS first\n", "AS first\nARG EMPTY\n"))
    }),
    ("an argument after the last step", |text| {
        built(&format!("{text}ARG LATE=1\n")).arg("LATE", "2")
    }),
    ("arguments in another order", |text| {
        Case::new(text).arg("B", "2").arg("A", "1")
    }),
    ("stages of another name", |text| {
        built(&text.replace("first", "builder"))
    }),
    ("a stage nobody reaches", |text| {
        built(&text.replace(
            "FROM base AS second",
            "FROM base AS unused\nRUN never\nFROM base AS second",
        ))
    }),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_changes_no_result_changes_no_key(one in lines(), two in lines(), way in 0..HARMLESS.len()) {
        let text = dockerfile(&one, &two);
        // What the copied directory is called is part of the copy; only the stage's name is not.
        let text = text.replace("/first", "/taken");
        let (what, change) = HARMLESS[way];
        prop_assert_eq!(all_keys(&built(&text)), all_keys(&change(&text)), "{}:\n{}", what, text);
    }

    #[test]
    fn a_changed_file_changes_what_reads_it_and_what_stands_on_that(lines in lines(), file in prop::sample::select(vec!["alpha", "beta", "https://example.invalid/gamma"])) {
        let case = built(&format!("FROM base\n{}\n", lines.join("\n")));
        let before = layer_keys(&case, &Salt::default(), &Inputs::default());
        let after = layer_keys(&case, &Salt::default(), &Inputs::default().file(file, "changed"));
        let plan = case.plan();
        let layers = plan.target_stage().steps.iter().map(|step| &step.operation);
        let mut is_below = false;
        for ((operation, before), after) in layers.filter(|operation| operation.makes_layer()).zip(before).zip(after) {
            let (reads, is_linked) = match operation {
                Operation::Copy(copy) => (
                    copy.sources.iter().any(|source| source == file) || copy.remotes.iter().any(|remote| remote.url == file),
                    copy.link,
                ),
                Operation::Run(run) => (run.mounts.iter().any(|mount| mount.mount.source.as_deref() == Some(file)), false),
                _ => (false, false),
            };
            let changes = reads || (is_below && !is_linked);
            prop_assert_eq!(before != after, changes, "{:?}", operation);
            is_below |= changes;
        }
    }

    #[test]
    fn an_argument_changes_the_commands_after_its_declaration_and_what_stands_on_them(lines in lines()) {
        let text = format!("FROM base\n{}\n", lines.join("\n"));
        let keys = |value: &str| layer_keys(&Case::new(&text).arg("A", value), &Salt::default(), &Inputs::default());
        let plan = Case::new(&text).arg("A", "1").plan();
        let layers = plan.target_stage().steps.iter().map(|step| &step.operation);
        let mut is_below = false;
        for ((operation, before), after) in layers.filter(|operation| operation.makes_layer()).zip(keys("1")).zip(keys("2")) {
            let (reads, is_linked) = match operation {
                Operation::Run(run) => (run.env.iter().any(|(name, _)| name == "A"), false),
                Operation::Copy(copy) => (false, copy.link),
                _ => (false, false),
            };
            let changes = reads || (is_below && !is_linked);
            prop_assert_eq!(before != after, changes, "{:?}", operation);
            is_below |= changes;
        }
    }
}
