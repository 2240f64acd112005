//! The configuration and the history that instructions leave.

use std::collections::BTreeMap;

use yadokari_image::ContainerConfig;
use yadokari_plan::{Operation, Workdir};

use crate::case::Case;

#[test]
fn scratch_has_a_directory_a_path_and_the_platform_asked_for() {
    let plan = Case::new("FROM scratch").platform("linux/arm/v7").plan();
    let config = &plan.target_stage().config;
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
    let expected = ContainerConfig {
        env: vec![path],
        working_dir: "/".to_owned(),
        ..ContainerConfig::default()
    };
    assert_eq!(config.config, expected);
    assert_eq!(
        (config.architecture.as_str(), config.variant.as_deref()),
        ("arm", Some("v7"))
    );
}

#[test]
fn of_a_base_the_known_fields_stay() {
    let case = Case::new("FROM base").image("base", |config| {
        config.author = Some("me".to_owned());
        config.created = Some("2020-01-01T00:00:00Z".to_owned());
        config.other.insert("docker_version".to_owned(), "1".into());
        config
            .config
            .other
            .insert("Hostname".to_owned(), "h".into());
        config.config.user = "u".to_owned();
    });
    let plan = case.plan();
    let config = &plan.target_stage().config;
    assert_eq!(config.author.as_deref(), Some("me"));
    assert_eq!(config.created, None);
    assert!(config.other.is_empty() && config.config.other.is_empty());
    assert_eq!(config.config.user, "u");
}

#[test]
fn a_relative_directory_of_a_base_is_entered_twice() {
    let case = Case::new("FROM base").image("base", |config| {
        config.config.working_dir = "rel/w".to_owned();
    });
    assert_eq!(case.config().working_dir, "/rel/w/rel/w");
}

#[test]
fn history_spells_each_instruction_as_the_reference_does() {
    let text = r#"FROM base
RUN  a   b
RUN ["a b", "c"]
COPY --chown=1:2 --chmod=644 --link --exclude=x a b /d/
COPY --parents a /d/
ADD <<one <<"two" /d/
1
one
2
two
WORKDIR /w
WORKDIR x
WORKDIR /
ENV a="b c" d=e
LABEL a="b c"
ARG x=1 y
CMD ["a", "b"]
ENTRYPOINT a
EXPOSE 81/udp 80
VOLUME a /b
SHELL ["sh", "-e"]
USER me
STOPSIGNAL 9
HEALTHCHECK --interval=90s CMD x
MAINTAINER me too
ONBUILD RUN x
"#;
    insta::assert_snapshot!(Case::new(text).history().join("\n"), @r#"
    RUN /bin/sh -c a   b # buildkit
    RUN a b c # buildkit
    COPY --chown=1:2 --chmod=644 a b /d/ # buildkit
    COPY --parents a /d/ # buildkit
    ADD <<one <<two /d/ # buildkit
    WORKDIR /w
    WORKDIR /w/x
    WORKDIR /
    ENV a=b c d=e
    LABEL a=b c
    ARG x=1 y
    CMD ["a" "b"]
    ENTRYPOINT ["/bin/sh" "-c" "a"]
    EXPOSE [80/tcp 81/udp]
    VOLUME [a /b]
    SHELL [sh -e]
    USER me
    STOPSIGNAL 9
    HEALTHCHECK {Test:[CMD-SHELL x] Interval:1m30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}
    MAINTAINER me too
    "#);
}

#[test]
fn a_command_clears_the_inherited_one_unless_it_came_first_in_this_stage() {
    let with_cmd = |text: &str| {
        Case::new(text)
            .image("base", |config| {
                config.config.cmd = Some(vec!["old".to_owned()]);
            })
            .config()
            .cmd
    };
    assert_eq!(with_cmd("FROM base\nENTRYPOINT [\"e\"]"), None);
    assert_eq!(with_cmd("FROM base\nENTRYPOINT []"), None);
    assert_eq!(
        with_cmd("FROM base\nCMD [\"new\"]\nENTRYPOINT [\"e\"]"),
        Some(vec!["new".to_owned()])
    );
    assert_eq!(
        with_cmd("FROM base AS a\nCMD [\"new\"]\nFROM a\nENTRYPOINT [\"e\"]"),
        None
    );
    assert_eq!(with_cmd("FROM base\nUSER x"), Some(vec!["old".to_owned()]));
}

#[test]
fn an_absolute_directory_stays_as_written_and_a_relative_one_is_joined_and_cleaned() {
    for (text, expected) in [
        ("WORKDIR /a/../b/./c/", "/a/../b/./c/"),
        ("WORKDIR /a\nWORKDIR b/../c", "/a/c"),
        ("WORKDIR /a\nWORKDIR $nothing", "/a"),
        ("WORKDIR /a\nWORKDIR ..", "/"),
    ] {
        assert_eq!(
            Case::new(&format!("FROM base\n{text}"))
                .config()
                .working_dir,
            expected,
            "{text}"
        );
    }
}

#[test]
fn only_the_root_directory_makes_no_layer() {
    let plan = Case::new("FROM base\nWORKDIR /\nUSER me\nWORKDIR //\nWORKDIR /a").plan();
    let made: Vec<_> = plan
        .target_stage()
        .steps
        .iter()
        .map(|step| step.operation.makes_layer())
        .collect();
    assert_eq!(made, [false, false, true, true]);
    let Operation::Workdir(workdir) = &plan.target_stage().steps[3].operation else {
        panic!("a directory")
    };
    assert_eq!(
        *workdir,
        Workdir {
            path: "/a".to_owned(),
            user: "me".to_owned()
        }
    );
}

#[test]
fn ports_are_sorted_before_expansion_and_ranges_expand() {
    let case = Case::new("FROM base\nENV P=9000\nEXPOSE 82-83/udp $P 0080");
    let ports: Vec<_> = case.config().exposed_ports.into_keys().collect();
    assert_eq!(ports, ["80/tcp", "82/udp", "83/udp", "9000/tcp"]);
    assert_eq!(case.history()[1], "EXPOSE [9000/tcp 80/tcp 82/udp 83/udp]");
}

#[test]
fn env_updates_in_place_and_appends() {
    let case = Case::new("FROM base\nENV A=1\nENV B=2\nENV A=3");
    assert_eq!(case.config().env, ["PATH=/bin", "A=3", "B=2"]);
}

#[test]
fn of_equal_labels_the_later_counts() {
    let labels = Case::new("FROM base\nLABEL a=1 b=2\nLABEL a=3")
        .config()
        .labels;
    let expected =
        [("a", "3"), ("b", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(labels, BTreeMap::from(expected));
}

#[test]
fn a_maintainer_is_the_author() {
    let plan = Case::new("FROM base\nMAINTAINER me <me@example.com>").plan();
    assert_eq!(
        plan.target_stage().config.author.as_deref(),
        Some("me <me@example.com>")
    );
}

#[test]
fn a_linked_copy_with_a_mode_is_an_ordinary_one() {
    let linked = |flags: &str| {
        let plan = Case::new(&format!("FROM base\nCOPY {flags} a /d")).plan();
        matches!(&plan.target_stage().steps[0].operation, Operation::Copy(copy) if copy.link)
    };
    assert!(linked("--link"));
    assert!(!linked("--link --chmod=644"));
    assert!(!linked("--link=false"));
}

#[test]
fn an_empty_owner_is_none() {
    let plan = Case::new("FROM scratch\nCOPY --chown=$nobody a /d").plan();
    assert!(
        matches!(&plan.target_stage().steps[0].operation, Operation::Copy(copy) if copy.chown.is_none())
    );
}
