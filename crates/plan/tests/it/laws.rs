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
    (0..16, one, two).prop_map(|(kind, one, two)| match kind {
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
