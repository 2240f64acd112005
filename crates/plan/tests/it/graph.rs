//! Which stages are built, and what the words after FROM, `--from` and `from=` mean.

use yadokari_plan::{Base, NamedContext, Operation, Plan, Source, StageId};

use crate::case::{Case, plan_text};

fn stages(plan: &Plan) -> Vec<usize> {
    plan.stages.iter().map(|stage| stage.id.0).collect()
}

/// What the first COPY of the target reads from.
fn copied_from(case: &Case) -> Source {
    let plan = case.plan();
    let found = plan
        .target_stage()
        .steps
        .iter()
        .find_map(|step| match &step.operation {
            Operation::Copy(copy) => Some(copy.from.clone()),
            _ => None,
        });
    found.expect("a COPY")
}

#[test]
fn the_target_is_the_last_stage_or_a_name_in_any_case() {
    let text = "FROM base AS one\nFROM base AS two";
    assert_eq!(Case::new(text).plan().target, StageId(1));
    assert_eq!(Case::new(text).target("ONE").plan().target, StageId(0));
}

#[test]
fn numbers_and_generated_names_are_no_targets() {
    for name in ["0", "stage-0"] {
        let error = Case::new("FROM base\nFROM base AS release")
            .target(name)
            .error();
        assert_eq!(
            error,
            format!("-: target stage \"{name}\" could not be found")
        );
    }
    let error = Case::new("FROM base AS build").target("biuld").error();
    assert_eq!(
        error,
        "-: target stage \"biuld\" could not be found (did you mean build?)"
    );
}

#[test]
fn only_what_the_target_needs_is_planned_and_asked_for() {
    let text = "FROM one AS a\nFROM two AS b\nFROM three AS c\nFROM a AS d\nRUN --mount=from=b,target=/b x\nFROM four AS e";
    let case = Case::new(text).target("d");
    assert_eq!(stages(&case.plan()), [0, 1, 3]);
    assert_eq!(case.asked(), ["one", "two"]);
    assert_eq!(
        stages(&Case::new(text).target("d").all_stages().plan()),
        [0, 1, 2, 3, 4]
    );
}

#[test]
fn the_reference_of_an_image_that_nobody_needs_must_parse() {
    let error = Case::new("FROM UPPER\nFROM base").error();
    assert!(
        error.starts_with("1-1: failed to parse stage name \"UPPER\""),
        "{error}"
    );
}

#[test]
fn triggers_of_an_image_may_ask_for_stages_and_images() {
    let case = Case::new("FROM one AS build\nFROM parent").image("parent", |config| {
        config.config.on_build = vec![
            "COPY --from=build /x /".to_owned(),
            "COPY --from=other /y /".to_owned(),
        ];
    });
    assert_eq!(stages(&case.plan()), [0, 1]);
    assert_eq!(case.asked(), ["one", "other", "parent"]);
}

#[test]
fn triggers_come_first_and_are_not_passed_on() {
    let case = Case::new("FROM parent\nRUN own").image("parent", |config| {
        config.config.on_build = vec!["RUN echo  $A".to_owned(), "ENV A=1".to_owned()];
    });
    assert_eq!(
        case.history(),
        [
            "RUN /bin/sh -c echo  $A # buildkit",
            "ENV A=1",
            "RUN /bin/sh -c own # buildkit"
        ]
    );
    assert_eq!(case.config().on_build, [""; 0]);
    assert_eq!(case.plan().stages[0].steps[0].span.first_line, 1);
}

#[test]
fn triggers_of_a_stage_fire_in_stages_on_top_of_it_once() {
    let text = "FROM base AS a\nONBUILD RUN trigger\nFROM a AS b\nRUN b\nFROM b\nRUN c";
    let plan = Case::new(text).plan();
    let titles = |id: usize| -> Vec<String> {
        plan.stage(StageId(id))
            .unwrap()
            .steps
            .iter()
            .map(|step| step.title.clone())
            .collect()
    };
    assert_eq!(titles(1), ["RUN trigger", "RUN b"]);
    assert_eq!(titles(2), ["RUN c"]);
    assert_eq!(
        plan.stage(StageId(0)).unwrap().config.config.on_build,
        ["RUN trigger"]
    );
    assert!(plan.stage(StageId(0)).unwrap().steps[0].history.is_none());
}

#[test]
fn a_trigger_that_makes_no_sense_is_blamed_on_the_from() {
    let case = Case::new("\nFROM parent").image("parent", |config| {
        config.config.on_build = vec!["bogus x".to_owned()];
    });
    assert_eq!(case.error(), "2-2: unknown instruction: bogus");
}

#[test]
fn from_finds_earlier_stages_then_scratch_then_contexts_then_images() {
    let base = |case: Case| case.plan().target_stage().base.clone();
    assert!(matches!(
        base(Case::new("FROM base AS scratch\nFROM scratch")),
        Base::Stage(StageId(0))
    ));
    assert!(matches!(
        base(Case::new("FROM scratch").named("scratch", NamedContext::Files)),
        Base::Scratch
    ));
    assert!(matches!(
        base(Case::new("FROM base AS busybox\nFROM busybox").named_image("other", "x")),
        Base::Stage(StageId(0))
    ));
    assert!(
        matches!(base(Case::new("FROM busybox").named("busybox", NamedContext::Files)), Base::Context(name) if name == "busybox")
    );
    assert_eq!(Case::new("FROM busybox").asked(), ["busybox"]);
    assert_eq!(
        Case::new("FROM later\nFROM base AS later")
            .target("later")
            .asked(),
        ["base"]
    );
    assert_eq!(
        Case::new("FROM later AS x\nFROM base AS later")
            .target("x")
            .asked(),
        ["later"]
    );
}

#[test]
fn from_matches_a_stage_name_byte_for_byte() {
    assert!(matches!(
        Case::new("FROM base AS Build\nFROM build")
            .plan()
            .target_stage()
            .base,
        Base::Stage(StageId(0))
    ));
    let error = Case::new("FROM base AS Build\nFROM Build").error();
    assert!(
        error.contains("repository name (library/Build) must be lowercase"),
        "{error}"
    );
}

#[test]
fn a_context_of_a_stages_own_name_replaces_the_stage() {
    let text =
        "FROM nowhere AS dep\nRUN never\nCOPY --from=missing / /\nFROM base\nCOPY --from=dep /x /";
    let case = Case::new(text).named_image("dep", "other");
    let plan = case.plan();
    assert_eq!(case.asked(), ["base", "dep"]);
    assert!(plan.stage(StageId(0)).unwrap().steps.is_empty());
    let files = Case::new(text).named("dep", NamedContext::Files).plan();
    assert!(matches!(&files.stage(StageId(0)).unwrap().base, Base::Context(name) if name == "dep"));
}

#[test]
fn scratch_has_the_platform_of_the_build() {
    let platform = |text: &str| {
        let case = Case::new(text).platform("linux/arm64");
        case.plan().target_stage().platform.to_string()
    };
    assert_eq!(
        platform("FROM --platform=linux/arm/v7 scratch"),
        "linux/arm64"
    );
    assert_eq!(
        platform("FROM --platform=linux/arm/v7 base"),
        "linux/arm/v7"
    );
}

#[test]
fn a_context_can_be_scratch() {
    let case = |text: &str| Case::new(text).named("base", NamedContext::Scratch);
    for text in ["FROM base", "FROM nowhere AS base\nRUN never"] {
        assert!(
            matches!(case(text).plan().target_stage().base, Base::Scratch),
            "{text}"
        );
    }
    let copied = case("FROM other\nCOPY --from=base / /");
    assert_eq!(copied_from(&copied), Source::Scratch);
}

#[test]
fn a_copy_from_nothing_that_can_be_is_refused_in_stages_that_nobody_needs() {
    for (word, message) in [
        ("$x", "variable expansion is not supported for --from"),
        ("7", "invalid stage index 7"),
    ] {
        let text = format!("FROM base AS a\nCOPY --from={word} / /\nFROM base\nSTOPSIGNAL bogus");
        let error = Case::new(&text).error();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn contexts_are_found_by_the_familiar_name_of_an_image() {
    for word in [
        "busybox",
        "busybox:latest",
        "docker.io/library/busybox",
        "docker.io/library/busybox:latest",
    ] {
        let case = Case::new(&format!("FROM {word}")).named("busybox", NamedContext::Files);
        assert!(
            matches!(case.plan().target_stage().base, Base::Context(_)),
            "{word}"
        );
    }
    let long = Case::new("FROM busybox").named("docker.io/library/busybox", NamedContext::Files);
    assert!(matches!(long.plan().target_stage().base, Base::Image(_)));
}

#[test]
fn a_context_that_means_nothing_fails_where_it_is_used() {
    let unknown = || NamedContext::Unknown("bogus".to_owned());
    let error = Case::new("FROM base\nCOPY --from=foo / /")
        .named("foo", unknown())
        .error();
    assert_eq!(error, "2-2: invalid context specifier bogus for foo");
    Case::new("FROM base").named("foo", unknown()).plan();
}

#[test]
fn copy_from_takes_numbers_names_in_any_case_contexts_and_images() {
    let from = |word: &str| {
        let text = format!("FROM one AS Build\nFROM two\nCOPY --from={word} /x /");
        copied_from(&Case::new(&text).named("files", NamedContext::Files))
    };
    for word in ["0", "00", "+0", "-0", "build", "BUILD"] {
        assert_eq!(from(word), Source::Stage(StageId(0)), "{word}");
    }
    assert_eq!(from("files"), Source::Named("files".to_owned()));
    assert_eq!(from("scratch"), Source::Scratch);
    assert_eq!(from(""), Source::Context);
    assert!(matches!(from("image:1"), Source::Image(_)));
}

#[test]
fn a_mount_takes_no_numbers() {
    let case = Case::new("FROM one\nFROM two\nRUN --mount=from=0,target=/x y");
    assert_eq!(case.asked(), ["0", "two"]);
}

#[test]
fn of_equal_stage_names_from_takes_the_latest_above_and_copy_the_last_of_the_file() {
    let text = "FROM one AS a\nFROM two AS a\nFROM a AS b\nCOPY --from=a /x /";
    let case = Case::new(text);
    assert!(matches!(
        case.plan().target_stage().base,
        Base::Stage(StageId(1))
    ));
    assert_eq!(copied_from(&case), Source::Stage(StageId(1)));
    let error = Case::new("FROM one AS a\nFROM two AS b\nCOPY --from=a /x /\nFROM three AS a")
        .target("b")
        .error();
    assert_eq!(
        error,
        "3-3: cannot copy from stage \"a\", it needs to be defined before current stage \"b\""
    );
}

#[test]
fn a_stage_that_is_needed_must_be_defined_before_but_only_in_stages_that_are_built() {
    let text = "FROM base AS a\nCOPY --from=b / /\nFROM base AS b\nFROM base AS c";
    assert_eq!(
        Case::new(text).target("a").error(),
        "2-2: cannot copy from stage \"b\", it needs to be defined before current stage \"a\""
    );
    Case::new(text).plan();
    let text = "FROM base AS a\nRUN --mount=from=b,target=/x y\nFROM base AS b";
    assert_eq!(
        Case::new(text).target("a").error(),
        "2-2: cannot mount from stage \"b\" to \"/x\", stage needs to be defined before current command"
    );
}

#[test]
fn a_circle_is_refused_in_any_stage() {
    for text in [
        "FROM base AS a\nCOPY --from=a / /\nFROM base",
        "FROM base AS a\nCOPY --from=0 / /\nFROM base",
        "FROM base AS a\nCOPY --from=b / /\nFROM a AS b\nFROM base",
        "FROM base AS a\nRUN --mount=from=b,target=/x y\nFROM base AS b\nCOPY --from=a / /\nFROM base",
    ] {
        let error = Case::new(text).error();
        assert!(
            error.contains("circular dependency detected on stage: "),
            "{error}"
        );
    }
}

#[test]
fn a_diamond_is_no_circle() {
    let text = "FROM base AS a\nFROM a AS b\nFROM a AS c\nCOPY --from=b / /\nFROM c\nCOPY --from=b / /\nCOPY --from=a / /";
    assert_eq!(stages(&Case::new(text).plan()), [0, 1, 2, 3]);
}

#[test]
fn a_long_chain_of_stages_is_no_problem() {
    let mut text = "FROM base AS s0\n".to_owned();
    for index in 1..2000 {
        text.push_str(&format!("FROM s{} AS s{index}\n", index - 1));
    }
    assert_eq!(Case::new(&text).plan().stages.len(), 2000);
}

#[test]
fn unnamed_stages_are_called_by_their_number() {
    assert_eq!(
        plan_text("FROM scratch\nFROM scratch"),
        "stage 1 stage-1 (target): from nothing\n"
    );
}

#[test]
fn labels_of_the_request_are_for_the_targets_only() {
    let mut case = Case::new("FROM base AS a\nLABEL x=file\nFROM a AS b").target("b");
    case.request.labels.insert("x".to_owned(), "cli".to_owned());
    let plan = case.plan();
    assert_eq!(
        plan.stage(StageId(0)).unwrap().config.config.labels["x"],
        "file"
    );
    assert_eq!(
        plan.stage(StageId(1)).unwrap().config.config.labels["x"],
        "cli"
    );
    assert_eq!(case.history(), [""; 0]);
}

#[test]
fn a_circle_is_told_link_by_link() {
    let hint = |text: &str| {
        let case = Case::new(text);
        case.failure().kind.hint().expect("a hint")
    };
    assert_eq!(
        hint(
            "FROM base AS a\nRUN x\nCOPY --from=b / /\nFROM base AS b\nRUN --mount=from=c,target=/c x\nFROM a AS c"
        ),
        "break the circle: \"a\" needs \"b\" (line 3), \"b\" needs \"c\" (line 5), \"c\" needs \"a\" (line 6)"
    );
    assert_eq!(
        hint("FROM base AS a\nCOPY --from=a / /"),
        "line 2 reads from its own stage \"a\""
    );
}

#[test]
fn a_hundred_thousand_stages_are_no_more_than_many() {
    const MANY: usize = 100_000;
    let chain: String = (1..MANY)
        .map(|index| format!("FROM s{} AS s{index}\n", index - 1))
        .collect();
    let plan = Case::new(&format!("FROM base AS s0\n{chain}")).plan();
    assert_eq!(plan.stages.len(), MANY);
    let forward: String = (0..MANY)
        .map(|index| format!("FROM base AS s{index}\nCOPY --from=s{} / /\n", index + 1))
        .collect();
    let case = Case::new(&format!("{forward}FROM base AS s{MANY}\nFROM base"));
    assert_eq!(case.plan().stages.len(), 1);
    let circle = Case::new(&format!(
        "{forward}FROM base AS s{MANY}\nCOPY --from=s0 / /"
    ));
    assert!(
        circle
            .error()
            .ends_with("circular dependency detected on stage: s0")
    );
}
