//! Over generated Dockerfiles: steps that do different things have different keys.

use std::collections::HashMap;

use proptest::prelude::*;
use yadokari_plan::{Base, Key, Operation, Plan, Salt};

use crate::case::Case;
use crate::inputs::{Inputs, keys_of};

/// Words that invite confusion: empty, with separators, with each other's syntax.
fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a", "b", "a b", "ab", "b=1", "/a", "/a/", "a/b", "1", "0", "--link", "RUN a",
    ])
}

fn quoted(word: &str) -> String {
    format!("\"{word}\"")
}

fn line() -> impl Strategy<Value = String> {
    let (one, two) = (word(), word());
    (0..20, one, two).prop_map(|(kind, one, two)| match kind {
        0 => format!("RUN [{}, {}]", quoted(one), quoted(two)),
        1 => format!("RUN [{}]", quoted(one)),
        2 => format!("RUN echo {one}"),
        3 => format!("ENV A={} B={}", quoted(one), quoted(two)),
        4 => format!("ARG A={}", quoted(one)),
        5 => format!("COPY [{}, {}]", quoted(one), quoted(two)),
        6 => format!("COPY [{}, {}, \"/d/\"]", quoted(one), quoted(two)),
        7 => format!("COPY --link [{}, {}]", quoted(one), quoted(two)),
        8 => format!("ADD [{}, {}]", quoted(one), quoted(two)),
        9 => format!(
            "COPY --exclude={} --exclude={} x /d/",
            quoted(one),
            quoted(two)
        ),
        10 => format!("WORKDIR x{one}"),
        11 => format!("USER {}", quoted(one)),
        12 => format!("SHELL [{}, {}]", quoted(one), quoted(two)),
        13 => format!("LABEL a={}", quoted(one)),
        14 => format!("COPY <<X <<Y /d/\n{one}\nX\n{two}\nY"),
        15 => format!(
            "RUN --mount=type=bind,source={},target=/m echo {two}",
            quoted(one).replace(' ', "")
        ),
        16 => format!(
            "RUN --mount=type=tmpfs,target=/{} x",
            one.replace([' ', '/', '='], "_")
        ),
        17 => format!("ADD --unpack={} [{}, \"/d/\"]", one == "a", quoted(two)),
        18 => format!(
            "COPY --chown={} x {}",
            one.replace([' ', '/', '='], "_"),
            quoted(two).replace(' ', "")
        ),
        _ => format!("RUN <<X\n{one}\nX"),
    })
}

fn dockerfile() -> impl Strategy<Value = String> {
    let base = prop::sample::select(vec!["base", "other"]);
    (base, prop::collection::vec(line(), 1..6))
        .prop_map(|(base, lines)| format!("FROM {base}\n{}\n", lines.join("\n")))
}

/// All that the layers up to each step are made from, spelled out, by key.
///
/// What one step does is its operation's Debug text, which quotes; with sources read, in place of names.
fn spelled(plan: &Plan, inputs: &Inputs) -> Vec<(Key, String)> {
    let keys = keys_of(plan, &Salt::default(), inputs);
    let stage = plan.target_stage();
    let mut chain = match &stage.base {
        Base::Image(image) => image.config.to_string(),
        base => format!("{base:?}"),
    };
    let mut all = Vec::new();
    for (index, step) in stage.steps.iter().enumerate() {
        let Some(key) = keys.step(stage.id, index) else {
            continue;
        };
        let made = format!("{:?}", step.operation);
        let is_linked = matches!(&step.operation, Operation::Copy(copy) if copy.link);
        all.push((
            key,
            if is_linked {
                made.clone()
            } else {
                format!("{chain}\n{made}")
            },
        ));
        chain = format!("{chain}\n{made}");
    }
    all
}

/// A builder stage and one that copies from it, or starts from it, or mounts it.
fn two_stages() -> impl Strategy<Value = String> {
    let platform = prop::sample::select(vec!["", "--platform=linux/arm64 "]);
    let reads = prop::sample::select(vec![
        "FROM base\nCOPY --from=a /p /d",
        "FROM base\nCOPY --from=a /p/ /d",
        "FROM base\nCOPY --link --from=a /p /d",
        "FROM base\nRUN --mount=from=a,target=/m x",
        "FROM base\nRUN --mount=from=a,source=/p,target=/m x",
        "FROM a",
    ]);
    (platform, prop::collection::vec(line(), 0..3), reads, line()).prop_map(
        |(platform, lines, reads, last)| {
            let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
            format!("FROM {platform}base AS a\n{lines}{reads}\n{last}\n")
        },
    )
}

/// What each step of every stage is made from, spelled out, by key. A stage that is read stands for all its steps.
fn spelled_in_stages(plan: &Plan, inputs: &Inputs) -> Vec<(Key, String)> {
    let keys = keys_of(plan, &Salt::default(), inputs);
    let (mut ends, mut all) = (HashMap::new(), Vec::new());
    for stage in &plan.stages {
        let mut chain = match &stage.base {
            Base::Image(image) => format!("{} {}", image.config, stage.platform),
            Base::Stage(parent) => String::clone(&ends[parent]),
            base => format!("{base:?} {}", stage.platform),
        };
        for (index, step) in stage.steps.iter().enumerate() {
            let Some(key) = keys.step(stage.id, index) else {
                continue;
            };
            let read = keys.takings(stage.id, index);
            let read: Vec<&String> = read.filter_map(|taking| ends.get(&taking.stage?)).collect();
            let own = match &step.operation {
                Operation::Run(_) => format!("{:?} {}", step.operation, stage.platform),
                operation => format!("{operation:?}"),
            };
            let made = format!("{own} {read:?}");
            let is_linked = matches!(&step.operation, Operation::Copy(copy) if copy.link);
            let below = if is_linked {
                String::new()
            } else {
                chain.clone()
            };
            all.push((key, format!("{below}\n{made}")));
            chain = format!("{chain}\n{made}");
        }
        ends.insert(stage.id, chain);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn stages_share_keys_exactly_if_all_they_are_made_from_is_the_same(files in prop::collection::vec(two_stages(), 2..6)) {
        let mut by_key: HashMap<Key, String> = HashMap::new();
        for file in files {
            let case = Case::new(&file);
            for (key, text) in spelled_in_stages(&case.plan(), &Inputs::default()) {
                let known = by_key.entry(key).or_insert_with(|| text.clone());
                prop_assert_eq!(&*known, &text, "\n{}", file);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn steps_share_a_key_exactly_if_they_and_all_below_are_the_same(files in prop::collection::vec(dockerfile(), 2..6)) {
        let mut by_key: HashMap<Key, String> = HashMap::new();
        let mut by_text: HashMap<String, Key> = HashMap::new();
        for file in files {
            for (key, text) in spelled(&Case::new(&file).plan(), &Inputs::default()) {
                let known = by_key.entry(key).or_insert_with(|| text.clone());
                prop_assert_eq!(&*known, &text);
                prop_assert_eq!(*by_text.entry(text).or_insert(key), key);
            }
        }
    }

    #[test]
    fn lines_that_make_no_layer_change_no_key(file in dockerfile(), at in 1usize..6) {
        let mut lines: Vec<&str> = file.lines().collect();
        if file.contains("<<") {
            return Ok(());
        }
        lines.insert(at.min(lines.len()), "# comment\n\nLABEL z=1\nEXPOSE 80\nVOLUME /v\nHEALTHCHECK NONE");
        let changed = lines.join("\n");
        let keys = |text: &str| spelled(&Case::new(text).plan(), &Inputs::default()).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        prop_assert_eq!(keys(&file), keys(&changed));
    }
}
