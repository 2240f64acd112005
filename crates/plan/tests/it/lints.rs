//! Build checks that need evaluation.

use crate::case::Case;

fn warnings(text: &str) -> String {
    Case::new(text).warnings().join("\n")
}

#[test]
fn commands_in_shell_form_are_noted_unless_a_shell_is_set() {
    insta::assert_snapshot!(warnings("FROM base\nCMD x\nENTRYPOINT y"), @r"
    JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals (line 2)
    JSONArgsRecommended: JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals (line 3)
    ");
    assert_eq!(
        warnings("FROM base\nSHELL [\"sh\"]\nCMD x\nENTRYPOINT y"),
        ""
    );
    assert_eq!(warnings("FROM base\nCMD [\"x\"]\nENTRYPOINT [\"y\"]"), "");
}

#[test]
fn undeclared_arguments_of_from_are_noted() {
    insta::assert_snapshot!(warnings("ARG tag=1\nFROM base:${tga:-2}"), @"UndefinedArgInFrom: FROM argument 'tga' is not declared (did you mean tag?) (line 2)");
    assert_eq!(warnings("ARG tag=1\nFROM base:${tag}"), "");
}

#[test]
fn undefined_variables_are_noted_with_a_suggestion() {
    insta::assert_snapshot!(warnings("FROM base\nENV NAME=1\nENV A=$NMAE B=$other\nCOPY $src /d"), @r"
    UndefinedVar: Usage of undefined variable '$NMAE' (did you mean $NAME?) (line 3)
    UndefinedVar: Usage of undefined variable '$other' (line 3)
    UndefinedVar: Usage of undefined variable '$src' (line 4)
    ");
}

#[test]
fn each_use_of_an_undefined_variable_is_noted() {
    assert_eq!(Case::new("FROM base\nUSER $x\nUSER $x").warnings().len(), 2);
}

#[test]
fn from_arguments_without_a_usable_default_are_noted() {
    let text = "ARG name\nFROM $name";
    let case = Case::new(text).arg("name", "base");
    insta::assert_snapshot!(case.warnings().join("\n"), @"InvalidDefaultArgInFrom: Default value for ARG $name results in empty or invalid base image name (line 2)");
    let case = Case::new("ARG name=UPPER\nFROM $name").arg("name", "base");
    assert_eq!(case.warnings().len(), 1);
    assert_eq!(warnings("ARG name=base\nFROM $name"), "");
}

#[test]
fn the_first_relative_directory_of_a_chain_is_noted() {
    insta::assert_snapshot!(warnings("FROM base\nWORKDIR x\nWORKDIR y"), @r#"WorkdirRelativePath: Relative workdir "x" can have unexpected results if the base image changes (line 2)"#);
    assert_eq!(
        warnings("FROM base AS a\nWORKDIR /x\nFROM a\nWORKDIR y"),
        ""
    );
}

#[test]
fn instructions_that_count_once_are_noted_when_repeated() {
    insta::assert_snapshot!(
        warnings("FROM base\nCMD [\"a\"]\nCMD [\"b\"]\nENTRYPOINT [\"a\"]\nENTRYPOINT [\"b\"]\nHEALTHCHECK NONE\nHEALTHCHECK NONE"),
        @r"
        MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same stage because only the last one will be used (line 2)
        MultipleInstructionsDisallowed: Multiple ENTRYPOINT instructions should not be used in the same stage because only the last one will be used (line 4)
        MultipleInstructionsDisallowed: Multiple HEALTHCHECK instructions should not be used in the same stage because only the last one will be used (line 6)
        "
    );
    assert_eq!(
        warnings("FROM base AS a\nCMD [\"a\"]\nFROM a\nCMD [\"b\"]"),
        ""
    );
}

#[test]
fn a_base_of_another_platform_is_noted() {
    let case = Case::new("FROM base")
        .platform("linux/arm64")
        .image("base", |config| config.architecture = "amd64".to_owned());
    insta::assert_snapshot!(case.warnings().join("\n"), @r#"InvalidBaseImagePlatform: Base image base was pulled with platform "linux/amd64", expected "linux/arm64" for current build (line 1)"#);
}

#[test]
fn platforms_of_from_that_are_redundant_or_constant_are_noted() {
    insta::assert_snapshot!(warnings("FROM --platform=$TARGETPLATFORM base"), @"RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior (line 1)");
    insta::assert_snapshot!(warnings("FROM --platform=linux/amd64 base"), @r#"FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value "linux/amd64" (line 1)"#);
    assert_eq!(
        warnings("FROM --platform=linux/amd64 base AS build-amd64"),
        ""
    );
    assert_eq!(warnings("FROM --platform=$BUILDPLATFORM base"), "");
}

#[test]
fn names_that_look_like_secrets_are_noted() {
    // An argument before the first FROM is in no image until a stage declares it.
    insta::assert_snapshot!(warnings("ARG TOKEN\nFROM base\nENV API_KEY=1 PUBLIC_KEY=2\nARG db_password"), @r#"
    SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV "API_KEY") (line 3)
    SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG "db_password") (line 4)
    "#);
}

#[test]
fn sources_that_the_ignore_file_hides_are_noted() {
    let text = "FROM base\nCOPY a /d\nADD dir/a b /d/\nCOPY --from=base a /d";
    insta::assert_snapshot!(Case::new(text).ignoring("**/a").warnings().join("\n"), @r#"
    CopyIgnoredFile: Attempting to Copy file "a" that is excluded by .dockerignore (line 2)
    CopyIgnoredFile: Attempting to Add file "dir/a" that is excluded by .dockerignore (line 3)
    "#);
    assert_eq!(Case::new(text).ignoring("**/a\n!b").warnings(), [""; 0]);
    assert_eq!(Case::new(text).ignoring("c").warnings(), [""; 0]);
}

#[test]
fn ports_with_hosts_or_odd_case_are_noted() {
    insta::assert_snapshot!(warnings("FROM base\nEXPOSE 80/TCP 8080:80 127.0.0.1:1:2"), @r"
    ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:1:2' (line 2)
    ExposeProtoCasing: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase (line 2)
    ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '8080:80' (line 2)
    ");
    assert_eq!(warnings("FROM base\nEXPOSE 80 81/udp"), "");
}

#[test]
fn only_stages_that_are_built_are_looked_at() {
    let text = "FROM base AS a\nUSER $x\nFROM base";
    assert_eq!(warnings(text), "");
    assert_eq!(Case::new(text).all_stages().warnings().len(), 1);
}

#[test]
fn pairs_without_an_equals_sign_are_noted_in_the_writing_of_the_file() {
    insta::assert_snapshot!(warnings("FROM base\nenv a b\nLABEL c d"), @r#"
    LegacyKeyValueFormat: "env key=value" should be used instead of legacy "env key value" format (line 2)
    LegacyKeyValueFormat: "LABEL key=value" should be used instead of legacy "LABEL key value" format (line 3)
    "#);
    assert_eq!(warnings("FROM base AS a\nENV a b\nFROM base"), "");
}

#[test]
fn commands_are_called_what_the_file_calls_them() {
    insta::assert_snapshot!(warnings("FROM base\ncmd a\ncmd [\"b\"]"), @r"
    JSONArgsRecommended: JSON arguments recommended for cmd to prevent unintended behavior related to OS signals (line 2)
    MultipleInstructionsDisallowed: Multiple cmd instructions should not be used in the same stage because only the last one will be used (line 2)
    ");
}

#[test]
fn a_command_that_overrides_that_of_a_trigger_is_noted() {
    insta::assert_snapshot!(
        warnings("FROM base AS a\nONBUILD CMD [\"t\"]\nFROM a\nCMD [\"own\"]"),
        @"MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same stage because only the last one will be used (line 3)"
    );
}

#[test]
fn bases_that_are_none_without_build_arguments_are_noted() {
    let noted = |text: &str| Case::new(text).arg("X", "base").warnings().join("\n");
    insta::assert_snapshot!(noted("ARG X\nFROM $X"), @"InvalidDefaultArgInFrom: Default value for ARG $X results in empty or invalid base image name (line 2)");
    assert_eq!(noted("ARG X=base\nFROM $X"), "");
    // A default that cannot be expanded without arguments ends the check.
    assert_eq!(noted("ARG X=${X:?say}\nARG Y\nFROM $X$Y"), "");
}

#[test]
fn arguments_of_platforms_have_to_be_declared() {
    insta::assert_snapshot!(warnings("ARG X\nFROM --platform=${P:-linux/amd64}$X base AS amd64"), @"UndefinedArgInFrom: FROM argument 'P' is not declared (line 2)");
}

#[test]
fn what_comes_before_an_error_is_noted_all_the_same() {
    let noted = |text: &str| {
        let failure = Case::new(text).failure();
        let lines = failure.warnings.iter().map(ToString::to_string);
        lines
            .chain([failure.to_string()])
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(noted("FROM base\nENV a b\nLABEL x=$nope\nSTOPSIGNAL bogus\nUSER $later"), @r#"
    LegacyKeyValueFormat: "ENV key=value" should be used instead of legacy "ENV key value" format (line 2)
    UndefinedVar: Usage of undefined variable '$nope' (line 3)
    invalid signal: bogus
    "#);
    insta::assert_snapshot!(noted("FROM base\nLABEL x=${nope:?say}"), @r#"
    UndefinedVar: Usage of undefined variable '$nope' (line 2)
    failed to process "${nope:?say}": nope: say
    "#);
    insta::assert_snapshot!(noted("FROM base\nCMD [\"a\"]\nCMD [\"b\"]\nSTOPSIGNAL bogus"), @r"
    MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same stage because only the last one will be used (line 2)
    invalid signal: bogus
    ");
    insta::assert_snapshot!(noted("FROM $X"), @r"
    InvalidDefaultArgInFrom: Default value for ARG $X results in empty or invalid base image name (line 1)
    UndefinedArgInFrom: FROM argument 'X' is not declared (line 1)
    base name ($X) should not be blank
    ");
    insta::assert_snapshot!(noted("FROM --platform=$BULIDPLATFORM base"), @r"
    UndefinedArgInFrom: FROM argument 'BULIDPLATFORM' is not declared (did you mean BUILDPLATFORM?) (line 1)
    empty platform value from expression $BULIDPLATFORM (did you mean BUILDPLATFORM?)
    ");
}

#[test]
fn a_comment_above_turns_a_rule_off() {
    assert_eq!(
        warnings("FROM base\n# check=skip=UndefinedVar\nUSER $x"),
        ""
    );
}
