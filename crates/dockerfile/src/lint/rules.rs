//! The table of rules and their messages.

use crate::suggest::suffix;
use crate::value::quote::quoted;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A build check.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[$doc])* $name,)*
        }

        impl Rule {
            /// All rules.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name users write in check options.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

rules! {
    /// A stage name holds capitals.
    StageNameCasing,
    /// `FROM x as`.
    FromAsCasing,
    /// A blank line between continued lines.
    NoEmptyContinuation,
    /// A keyword is not written as most others are.
    ConsistentInstructionCasing,
    /// Two stages have one name.
    DuplicateStageName,
    /// A stage is named `scratch` or `context`.
    ReservedStageName,
    /// CMD or ENTRYPOINT in shell form.
    JSONArgsRecommended,
    /// MAINTAINER is used.
    MaintainerDeprecated,
    /// FROM uses an argument nobody declared.
    UndefinedArgInFrom,
    /// The first WORKDIR is relative.
    WorkdirRelativePath,
    /// A variable nobody defined is used.
    UndefinedVar,
    /// CMD, ENTRYPOINT or HEALTHCHECK is overridden in its own stage.
    MultipleInstructionsDisallowed,
    /// `ENV name value`.
    LegacyKeyValueFormat,
    /// A base image is for another platform.
    InvalidBaseImagePlatform,
    /// `FROM --platform=$TARGETPLATFORM`.
    RedundantTargetPlatform,
    /// A name that looks like a secret.
    SecretsUsedInArgOrEnv,
    /// Without build arguments, a FROM has no valid image.
    InvalidDefaultArgInFrom,
    /// `FROM --platform=linux/amd64`.
    FromPlatformFlagConstDisallowed,
    /// A source is hidden by an ignore file.
    CopyIgnoredFile,
    /// A comment is no description. Off unless asked for.
    InvalidDefinitionDescription,
    /// `EXPOSE 80/TCP`.
    ExposeProtoCasing,
    /// EXPOSE with an address or a host port.
    ExposeInvalidFormat,
}

impl Rule {
    /// Whether the rule is off unless options turn it on.
    pub fn is_experimental(self) -> bool {
        self == Self::InvalidDefinitionDescription
    }

    /// Finds a rule by its name; case matters.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.name() == name)
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A rule and the message of one case of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    /// The rule.
    pub rule: Rule,
    /// What to tell the user.
    pub message: String,
}

macro_rules! messages {
    ($($function:ident($($argument:ident: $kind:ty),*) => $rule:ident, $format:expr;)*) => {
        impl Lint {
            $(
                #[doc = concat!("The message of [`Rule::", stringify!($rule), "`].")]
                pub fn $function($($argument: $kind),*) -> Self {
                    Self { rule: Rule::$rule, message: $format.to_string() }
                }
            )*
        }
    };
}

messages! {
    stage_name_casing(name: &str) => StageNameCasing, format!("Stage name '{name}' should be lowercase");
    from_as_casing(from: &str, r#as: &str) => FromAsCasing, format!("'{as}' and '{from}' keywords' casing do not match");
    no_empty_continuation() => NoEmptyContinuation, "Empty continuation line";
    consistent_instruction_casing(keyword: &str, casing: &str) => ConsistentInstructionCasing,
        format!("Command '{keyword}' should match the case of the command majority ({casing})");
    duplicate_stage_name(name: &str) => DuplicateStageName,
        format!("Duplicate stage name {}, stage names should be unique", quoted(name));
    reserved_stage_name(name: &str) => ReservedStageName,
        format!("Stage name should not use the same name as reserved stage {}", quoted(name));
    json_args_recommended(instruction: &str) => JSONArgsRecommended,
        format!("JSON arguments recommended for {instruction} to prevent unintended behavior related to OS signals");
    maintainer_deprecated() => MaintainerDeprecated, "Maintainer instruction is deprecated in favor of using label";
    undefined_arg_in_from(name: &str, suggestion: Option<&str>) => UndefinedArgInFrom,
        format!("FROM argument '{name}' is not declared{}", suffix(suggestion));
    workdir_relative_path(path: &str) => WorkdirRelativePath,
        format!("Relative workdir {} can have unexpected results if the base image changes", quoted(path));
    undefined_var(name: &str, suggestion: Option<&str>) => UndefinedVar,
        format!("Usage of undefined variable '${name}'{}", suffix(suggestion.map(|name| format!("${name}")).as_deref()));
    multiple_instructions_disallowed(instruction: &str) => MultipleInstructionsDisallowed,
        format!("Multiple {instruction} instructions should not be used in the same stage because only the last one will be used");
    legacy_key_value_format(instruction: &str) => LegacyKeyValueFormat,
        format!("\"{instruction} key=value\" should be used instead of legacy \"{instruction} key value\" format");
    invalid_base_image_platform(image: &str, actual: &str, expected: &str) => InvalidBaseImagePlatform,
        format!("Base image {image} was pulled with platform {}, expected {} for current build", quoted(actual), quoted(expected));
    redundant_target_platform(written: &str) => RedundantTargetPlatform,
        format!("Setting platform to predefined {written} in FROM is redundant as this is the default behavior");
    secrets_used_in_arg_or_env(instruction: &str, name: &str) => SecretsUsedInArgOrEnv,
        format!("Do not use ARG or ENV instructions for sensitive data ({instruction} {})", quoted(name));
    invalid_default_arg_in_from(base: &str) => InvalidDefaultArgInFrom,
        format!("Default value for ARG {base} results in empty or invalid base image name");
    from_platform_flag_const_disallowed(platform: &str) => FromPlatformFlagConstDisallowed,
        format!("FROM --platform flag should not use constant value {}", quoted(platform));
    copy_ignored_file(verb: &str, path: &str) => CopyIgnoredFile,
        format!("Attempting to {verb} file {} that is excluded by .dockerignore", quoted(path));
    invalid_definition_description(instruction: &str, name: &str) => InvalidDefinitionDescription,
        format!("Comment for {instruction} should follow the format: `# {name} <description>`");
    expose_proto_casing(port: &str) => ExposeProtoCasing,
        format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase");
    expose_invalid_format(port: &str) => ExposeInvalidFormat,
        format!("EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_22_rules_with_names() {
        assert_eq!(Rule::ALL.len(), 22);
        for rule in Rule::ALL {
            assert_eq!(Rule::from_name(rule.name()), Some(*rule));
        }
        assert_eq!(Rule::from_name("stagenamecasing"), None);
    }

    #[test]
    fn suggestions_stand_behind_the_message() {
        assert_eq!(
            Lint::undefined_var("knwn", Some("known")).message,
            "Usage of undefined variable '$knwn' (did you mean $known?)"
        );
        assert_eq!(
            Lint::undefined_arg_in_from("nope", None).message,
            "FROM argument 'nope' is not declared"
        );
    }
}
