//! `SOURCE_DATE_EPOCH`: what it may be, and which stages have a time.

use yadokari_dockerfile::parse;
use yadokari_plan::{Epoch, Remote, remote_of_stage};

use crate::case::Case;

const NAME: &str = "SOURCE_DATE_EPOCH";

fn asked(text: &str, given: Option<&str>) -> Result<Epoch, String> {
    let arguments: Vec<_> = given
        .map(|value| (NAME.to_owned(), value.to_owned()))
        .into_iter()
        .collect();
    let dockerfile = parse(text.as_bytes()).unwrap().dockerfile;
    Epoch::asked(&dockerfile, &arguments).map_err(|error| error.to_string())
}

#[test]
fn an_epoch_is_seconds_or_the_name_of_something_and_empty_is_unset() {
    let named = |name: &str| Ok(Epoch::Of(name.to_owned()));
    let invalid = |text: &str| Err(format!("invalid SOURCE_DATE_EPOCH: {text}"));
    for (given, expected) in [
        (None, Ok(Epoch::Unset)),
        (Some(""), Ok(Epoch::Unset)),
        (Some("0"), Ok(Epoch::Seconds(0))),
        (Some("-5"), Ok(Epoch::Seconds(-5))),
        (Some("context"), named("context")),
        (Some("source"), named("source")),
        (Some("1.5"), invalid("1.5")),
        (Some("12a"), invalid("12a")),
        (
            Some("99999999999999999999"),
            invalid("99999999999999999999"),
        ),
    ] {
        assert_eq!(asked("FROM base", given), expected, "{given:?}");
    }
}

#[test]
fn a_build_argument_outdoes_the_default_of_a_global_one() {
    let text = "ARG SOURCE_DATE_EPOCH=context\nFROM base";
    assert_eq!(asked(text, None), Ok(Epoch::Of("context".to_owned())));
    assert_eq!(asked(text, Some("7")), Ok(Epoch::Seconds(7)));
    assert_eq!(asked(text, Some("")), Ok(Epoch::Unset));
}

#[test]
fn a_settled_epoch_is_a_number_for_the_plan_and_for_commands() {
    let text = "ARG SOURCE_DATE_EPOCH=context\nFROM base\nARG SOURCE_DATE_EPOCH\nRUN x";
    let dockerfile = parse(text.as_bytes()).unwrap().dockerfile;
    let arguments = [(NAME.to_owned(), "context".to_owned())];
    let settled = |seconds| {
        let mut case = Case::new(text);
        case.request.build_args = Epoch::settled(&dockerfile, &arguments, seconds);
        case
    };
    assert_eq!(settled(Some(9)).plan().epoch, Some(9));
    assert!(
        settled(Some(9))
            .history()
            .contains(&"ARG SOURCE_DATE_EPOCH=9".to_owned())
    );
    assert_eq!(settled(None).plan().epoch, None);
    assert_eq!(
        Case::new("FROM base").arg(NAME, "context").error(),
        "-: invalid SOURCE_DATE_EPOCH: context"
    );
}

fn remote(text: &str) -> Result<Remote, String> {
    let case = Case::new(text);
    let dockerfile = parse(text.as_bytes()).unwrap().dockerfile;
    remote_of_stage(&dockerfile, &case.request, "source").map_err(|error| error.to_string())
}

#[test]
fn a_stage_with_a_time_is_one_remote_add_on_scratch() {
    let found = remote(
        "ARG SOURCE_DATE_EPOCH=source\nFROM scratch AS Source\nARG TAG=v1\nADD https://h/r.git#$TAG /\nFROM base",
    );
    let found = found.unwrap();
    assert_eq!(
        (found.url.as_str(), found.git),
        ("https://h/r.git#v1", true)
    );
    for stage in [
        "FROM base AS other",
        "FROM base AS source\nADD https://h/a /",
        "FROM scratch AS source",
        "FROM scratch AS source\nADD https://h/a /\nADD https://h/b /",
        "FROM scratch AS source\nADD https://h/a https://h/b /",
        "FROM scratch AS source\nADD https://h/a b /",
        "FROM scratch AS source\nADD https://h/a /\nWORKDIR /x",
    ] {
        let error = remote(stage).unwrap_err();
        assert_eq!(error, "invalid SOURCE_DATE_EPOCH: source", "{stage}");
    }
}
