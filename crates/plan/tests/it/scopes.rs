//! Which variables an instruction sees.

use crate::case::{Case, environment, runs};

#[test]
fn a_base_without_path_gets_the_default_one_at_the_end_and_keeps_it_in_its_configuration() {
    let case = Case::new("FROM base\nRUN x")
        .image("base", |config| config.config.env = vec!["A=1".to_owned()]);
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(case.config().env, ["A=1", path]);
    assert_eq!(runs(&case.plan())[0].env[1].0, "PATH");
}

#[test]
fn of_equal_names_in_a_base_the_first_is_updated_and_the_last_is_seen() {
    let case = |tail: &str| {
        Case::new(&format!("FROM base\n{tail}RUN x")).image("base", |config| {
            config.config.env = ["PATH=/bin", "A=1", "A=2"].map(str::to_owned).to_vec();
        })
    };
    assert_eq!(case("").environment(), "A=2");
    assert_eq!(case("ENV A=3\n").config().env, ["PATH=/bin", "A=3", "A=2"]);
    assert_eq!(case("ENV A=3\n").environment(), "A=3");
}

#[test]
fn env_sets_the_configuration_and_arg_does_not() {
    let case = Case::new("FROM base\nENV A=1\nARG B=2\nRUN x");
    assert_eq!(case.environment(), "A=1 B=2");
    assert_eq!(case.config().env, ["PATH=/bin", "A=1"]);
}

#[test]
fn arg_after_env_wins_for_a_run_and_leaves_the_configuration() {
    let case = Case::new("FROM base\nENV A=e\nARG A=a\nRUN x");
    assert_eq!(case.environment(), "A=a");
    assert_eq!(case.config().env, ["PATH=/bin", "A=e"]);
}

#[test]
fn env_after_arg_wins_whatever_the_build_argument() {
    let text = "FROM base\nARG C=1\nENV C=2\nRUN x";
    assert_eq!(environment(text), "C=2");
    assert_eq!(Case::new(text).arg("C", "cli").environment(), "C=2");
}

#[test]
fn a_bare_arg_after_env_changes_nothing_without_a_build_argument() {
    let text = "FROM base\nENV B=1\nARG B\nRUN x";
    assert_eq!(environment(text), "B=1");
    assert_eq!(Case::new(text).arg("B", "cli").environment(), "B=cli");
}

#[test]
fn an_argument_is_the_given_value_else_its_default_else_the_global_one() {
    for (text, given, expected) in [
        (
            "ARG A=global\nFROM base\nARG A=own\nRUN x",
            Some("cli"),
            "A=cli",
        ),
        ("ARG A=global\nFROM base\nARG A=own\nRUN x", None, "A=own"),
        ("ARG A=global\nFROM base\nARG A\nRUN x", None, "A=global"),
        ("FROM base\nARG A\nRUN x", None, ""),
        ("FROM base\nARG A=own\nRUN x", Some(""), "A="),
    ] {
        let case = Case::new(text);
        let case = given
            .into_iter()
            .fold(case, |case, value| case.arg("A", value));
        assert_eq!(case.environment(), expected, "{text} with {given:?}");
    }
}

#[test]
fn of_equal_build_arguments_the_last_counts() {
    let case = Case::new("FROM base\nARG A\nRUN x")
        .arg("A", "1")
        .arg("A", "2");
    assert_eq!(case.environment(), "A=2");
}

#[test]
fn the_default_of_a_given_argument_is_not_evaluated() {
    let text = "FROM base\nARG A=${x!y}\nRUN x";
    assert_eq!(Case::new(text).arg("A", "1").environment(), "A=1");
    assert!(Case::new(text).error().contains("unsupported modifier"));
    let text = "ARG A=${x!y}\nFROM base\nARG A\nRUN x";
    assert_eq!(Case::new(text).arg("A", "1").environment(), "A=1");
    assert!(Case::new(text).error().contains("unsupported modifier"));
}

#[test]
fn later_names_of_one_arg_see_earlier_ones() {
    assert_eq!(
        environment("FROM base\nARG A=1 B=$A C=$B\nRUN x"),
        "A=1 B=1 C=1"
    );
}

#[test]
fn all_values_of_one_env_or_label_see_the_state_before() {
    assert_eq!(
        environment("FROM base\nENV A=1\nENV A=2 B=$A\nRUN x"),
        "A=2 B=1"
    );
    let labels = Case::new("FROM base\nENV A=1\nLABEL A=2 B=$A")
        .config()
        .labels;
    assert_eq!(labels["B"], "1");
}

#[test]
fn global_arguments_are_seen_by_from_and_later_global_arguments_only() {
    let text = "ARG NAME=base\nARG WORD=$NAME:1\nFROM $WORD\nRUN echo $NAME\nENV A=$NAME";
    assert_eq!(Case::new(text).asked(), ["base:1"]);
    assert_eq!(environment(text), "");
    assert_eq!(Case::new(text).config().env, ["PATH=/bin", "A="]);
}

#[test]
fn a_stage_inherits_arguments_and_environment_of_its_parent_only() {
    let text = "FROM base AS a\nARG A=1\nENV E=2\nFROM a\nRUN x";
    assert_eq!(environment(text), "A=1 E=2");
    assert_eq!(
        Case::new(text).history(),
        ["RUN |1 A=1 /bin/sh -c x # buildkit"]
    );
    assert_eq!(
        environment("FROM base AS a\nARG A=1\nENV E=2\nFROM base\nRUN x"),
        ""
    );
}

#[test]
fn undefined_variables_are_empty_and_noted_even_with_a_default() {
    let case = Case::new("FROM base\nENV A=x$NOPE B=${NOPE:-y} C=${NOPE:+z}");
    assert_eq!(case.config().env, ["PATH=/bin", "A=x", "B=y", "C="]);
    assert_eq!(
        case.warnings()
            .iter()
            .filter(|text| text.starts_with("UndefinedVar"))
            .count(),
        3
    );
    assert_eq!(
        Case::new("FROM base\nWORKDIR /p/$NOPE")
            .config()
            .working_dir,
        "/p/"
    );
}

#[test]
fn a_name_that_a_bare_arg_declares_is_not_noted() {
    assert_eq!(
        Case::new("FROM base\nARG NOPE\nENV A=x$NOPE").warnings(),
        [""; 0]
    );
}

#[test]
fn a_build_argument_that_nothing_declares_has_no_effect() {
    let case = Case::new("FROM base\nRUN x\nENV A=${B:-unset}").arg("B", "1");
    assert_eq!(case.environment(), "");
    assert_eq!(case.config().env[1], "A=unset");
    assert_eq!(case.history()[0], "RUN /bin/sh -c x # buildkit");
}

#[test]
fn platform_arguments_have_to_be_declared_and_unset_parts_are_empty() {
    let text = "FROM base\nARG TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT TARGETOSVERSION BUILDPLATFORM BUILDVARIANT\nRUN x";
    assert_eq!(
        Case::new(text).platform("linux/arm/v7").environment(),
        "TARGETPLATFORM=linux/arm/v7 TARGETOS=linux TARGETARCH=arm TARGETVARIANT=v7 TARGETOSVERSION= BUILDPLATFORM=linux/amd64 BUILDVARIANT="
    );
    assert_eq!(environment("FROM base\nRUN x"), "");
}

#[test]
fn platform_arguments_are_normalised_and_describe_the_request() {
    let text = "FROM --platform=linux/arm64 base\nARG TARGETPLATFORM TARGETVARIANT\nRUN x";
    assert_eq!(
        environment(text),
        "TARGETPLATFORM=linux/amd64 TARGETVARIANT="
    );
    assert_eq!(
        Case::new(text).platform("linux/arm64/v8").environment(),
        "TARGETPLATFORM=linux/arm64 TARGETVARIANT="
    );
}

#[test]
fn a_build_argument_overrides_a_platform_argument() {
    let text = "FROM base-$TARGETARCH\nARG TARGETARCH\nRUN x";
    let case = Case::new(text).arg("TARGETARCH", "mine");
    assert_eq!(case.environment(), "TARGETARCH=mine");
    assert_eq!(case.asked(), ["base-mine"]);
}

#[test]
fn the_target_stage_is_the_one_asked_for_else_the_last_ones_name_else_default() {
    let text =
        "FROM base AS First\nARG TARGETSTAGE\nRUN x\nFROM base AS last\nARG TARGETSTAGE\nRUN x";
    assert_eq!(environment(text), "TARGETSTAGE=last");
    assert_eq!(
        Case::new(text).target("FIRST").environment(),
        "TARGETSTAGE=FIRST"
    );
    assert_eq!(
        environment("FROM base\nARG TARGETSTAGE\nRUN x"),
        "TARGETSTAGE=default"
    );
}

#[test]
fn proxies_reach_a_run_in_both_cases_and_nothing_else() {
    let case = Case::new("FROM base\nRUN x\nENV A=${http_proxy:-unset}")
        .arg("Http_Proxy", "http://p")
        .arg("NO_PROXY", "");
    let plan = case.plan();
    let run = &runs(&plan)[0];
    let proxies: Vec<_> = run
        .proxies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(proxies, ["http_proxy=http://p", "HTTP_PROXY=http://p"]);
    assert_eq!(case.environment(), "");
    assert_eq!(case.history()[0], "RUN /bin/sh -c x # buildkit");
    assert_eq!(case.config().env[1], "A=unset");
}

#[test]
fn a_declared_proxy_is_an_ordinary_argument() {
    let case = Case::new("FROM base\nARG HTTP_PROXY\nRUN x").arg("HTTP_PROXY", "http://p");
    assert_eq!(case.environment(), "HTTP_PROXY=http://p");
    assert_eq!(
        case.history()[1],
        "RUN |1 HTTP_PROXY=http://p /bin/sh -c x # buildkit"
    );
}

#[test]
fn arguments_that_ask_for_an_attestation_never_become_variables() {
    let text =
        "FROM base\nARG BUILDKIT_SBOM_SCAN_STAGE=true BUILDKIT_SBOM_SCAN_CONTEXT=true\nRUN x";
    assert_eq!(environment(text), "");
}

#[test]
fn the_epoch_comes_from_a_build_argument_or_a_global_one_and_is_a_variable_where_declared() {
    let text = "ARG SOURCE_DATE_EPOCH=7\nFROM base\nRUN x";
    assert_eq!(Case::new(text).plan().epoch, Some(7));
    assert_eq!(environment(text), "");
    assert_eq!(
        Case::new(text).arg("SOURCE_DATE_EPOCH", "9").plan().epoch,
        Some(9)
    );
    let declared = "FROM base\nARG SOURCE_DATE_EPOCH\nRUN x";
    assert_eq!(
        Case::new(declared)
            .arg("SOURCE_DATE_EPOCH", "9")
            .environment(),
        "SOURCE_DATE_EPOCH=9"
    );
    assert_eq!(
        Case::new("FROM base\nARG SOURCE_DATE_EPOCH=5\nRUN x")
            .plan()
            .epoch,
        None
    );
}

#[test]
fn names_of_variables_are_unrestricted() {
    assert_eq!(
        environment("FROM base\nENV a.b=1 9x=2\nRUN x"),
        "a.b=1 9x=2"
    );
}

#[test]
fn history_lists_arguments_once_in_the_order_of_declaration_with_their_current_values() {
    let case = Case::new("FROM base\nARG x=1\nARG y\nENV x=2\nARG x\nRUN c");
    assert_eq!(
        case.history().last().unwrap(),
        "RUN |2 x=2 y= /bin/sh -c c # buildkit"
    );
}
