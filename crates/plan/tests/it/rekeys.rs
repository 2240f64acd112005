//! Keys by content: what they agree on, and what they still tell apart.

use yadokari_image::Digest;
use yadokari_plan::{ContentKey, Ingredient, Key, Keys, Plan, Salt, StageId, chained};

use crate::case::Case;
use crate::inputs::{Inputs, keys_of};

fn planned(text: &str) -> (Plan, Keys) {
    let plan = Case::new(text).plan();
    let keys = keys_of(&plan, &Salt::default(), &Inputs::default());
    (plan, keys)
}

/// The keys of the target's steps where all that they take from other stages has this content.
fn by_content(text: &str, content: &str) -> Vec<Key> {
    let (plan, keys) = planned(text);
    let known = ContentKey(*Digest::of(content.as_bytes()).as_bytes());
    let stage = plan.target_stage();
    let mut below = keys.base(stage.id).unwrap();
    let mut all = Vec::new();
    for (index, step) in stage.steps.iter().enumerate() {
        if let Some(key) = keys.restated(stage.id, index, below, &|_| Some(known)) {
            below = chained(step, below, key);
            all.push(key);
        }
    }
    all
}

fn copying(made: &str, rest: &str) -> String {
    format!("FROM base AS a\nRUN {made}\nFROM base\nCOPY --from=a /p /d\n{rest}")
}

#[test]
fn without_content_a_step_has_the_key_that_was_planned() {
    let (plan, keys) = planned(&copying("x", "RUN y\nCOPY --link a /b\nRUN z\nWORKDIR /w"));
    for stage in &plan.stages {
        let mut below = keys.base(stage.id).unwrap();
        for (index, step) in stage.steps.iter().enumerate() {
            let again = keys.restated(stage.id, index, below, &|_| None);
            assert_eq!(again, keys.step(stage.id, index), "{}", step.title);
            below = again.map_or(below, |key| chained(step, below, key));
        }
        assert_eq!(Some(below), keys.end(stage.id));
    }
}

#[test]
fn equal_content_gives_equal_keys_however_it_was_made() {
    for rest in ["RUN y", "WORKDIR /w", "COPY --link a /b\nRUN z"] {
        let (one, other) = (copying("x", rest), copying("other", rest));
        assert_eq!(by_content(&one, "files"), by_content(&other, "files"));
        let differ = by_content(&one, "files")
            .iter()
            .zip(by_content(&one, "other files"))
            .filter(|(one, other)| *one != other)
            .count();
        assert_eq!(
            differ,
            by_content(&one, "files").len() - usize::from(rest.contains("--link"))
        );
    }
}

#[test]
fn content_does_not_hide_what_else_a_copy_is_told() {
    let tails = [
        "COPY --from=a /p /d",
        "COPY --from=a /p /d/",
        "COPY --from=a /p /e",
        "COPY --from=a --chown=1 /p /d",
        "COPY --from=a --chmod=600 /p /d",
        "COPY --from=a --exclude=x /p /d",
        "COPY --from=a --parents /p /d",
        "COPY --from=a --link /p /d",
        "RUN y\nCOPY --from=a /p /d",
        "RUN --mount=from=a,target=/m y",
        "RUN --mount=from=a,target=/n y",
        "RUN --mount=from=a,target=/m,rw y",
        "RUN --mount=from=a,target=/m --mount=from=a,target=/n y",
    ];
    let keys = tails.map(|tail| {
        let text = format!("FROM base AS a\nRUN x\nFROM base\n{tail}");
        by_content(&text, "files").pop().unwrap()
    });
    for (index, key) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(key), "{}", tails[index]);
    }
}

#[test]
fn a_path_counts_by_what_is_there_and_a_planned_one_by_its_name() {
    let text = |path: &str| format!("FROM base AS a\nRUN x\nFROM base\nCOPY --from=a {path} /d");
    assert_eq!(
        by_content(&text("/p"), "files"),
        by_content(&text("/q"), "files")
    );
    let planned_key = |path: &str| {
        let (plan, keys) = planned(&text(path));
        keys.step(plan.target, 0)
    };
    assert_ne!(planned_key("/p"), planned_key("/q"));
}

#[test]
fn a_step_says_what_it_takes_from_where() {
    let (plan, keys) = planned(
        "FROM base AS a\nRUN x\nFROM base\nCOPY --from=a /p /q /d/\nCOPY --from=tools /t /t\nRUN --mount=target=/c,source=s --mount=from=a,source=/m,target=/m y",
    );
    let takings = |step| keys.takings(plan.target, step).cloned().collect::<Vec<_>>();
    assert_eq!(takings(0)[0].stage, Some(StageId(0)));
    assert_eq!(takings(0)[0].paths, ["/p", "/q"]);
    assert_eq!(Some(takings(0)[0].tree), keys.end(StageId(0)));
    assert_eq!((takings(1)[0].stage, takings(1)[0].index), (None, 0));
    assert_eq!((takings(2).len(), takings(2)[0].index), (1, 1));
    let run = keys.ingredients(plan.target, 2);
    assert!(
        run.iter()
            .any(|part| matches!(part, Ingredient::Content("mounted files", _)))
    );
}
