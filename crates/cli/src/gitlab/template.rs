//! Names with fields, as `registry.example.com/app:{major}.{minor}`.

use super::tags::Pipeline;

/// A template that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A brace without its partner.
    #[error("`{{` without `}}`")]
    Open,
    /// A field that there is not.
    #[error(
        "there is no field {{{0}}}; there are {{auto}}, {{version}}, {{major}}, {{minor}}, {{patch}}, {{branch}}, {{mr}}, {{sha}}, \
         {{short-sha}} and {{latest}}"
    )]
    Unknown(String),
}

/// The names that a template makes: several where a field has several values, none where one has none.
///
/// # Errors
///
/// [`TemplateError`], whether or not the field would have a value.
pub fn expand(template: &str, pipeline: &Pipeline) -> Result<Vec<String>, TemplateError> {
    let mut names = vec![String::new()];
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let (text, after) = rest.split_at(open);
        let close = after.find('}').ok_or(TemplateError::Open)?;
        let values = values(&after[1..close], pipeline)?;
        let combined = names.iter().flat_map(|name| {
            values
                .iter()
                .map(move |value| format!("{name}{text}{value}"))
        });
        names = combined.collect();
        rest = &after[close + 1..];
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(names)
}

fn values(field: &str, pipeline: &Pipeline) -> Result<Vec<String>, TemplateError> {
    let version = pipeline.version();
    // Short forms of a number stand for the newest release, which a pre-release is not.
    let number = |at: usize| {
        let release = version.as_ref().filter(|version| version.pre.is_none());
        release.map(|version| version.numbers[at].to_string())
    };
    let one = match field {
        "auto" => return Ok(pipeline.tags()),
        "version" => version.as_ref().map(super::tags::Version::tag),
        "major" => number(0),
        "minor" => number(1),
        "patch" => number(2),
        "branch" => pipeline.branch.clone(),
        "mr" => pipeline.merge_request.clone(),
        "sha" => pipeline.sha.clone(),
        "short-sha" => pipeline.short_sha.clone(),
        "latest" => pipeline.is_latest().then(|| "latest".to_owned()),
        _ => return Err(TemplateError::Unknown(field.to_owned())),
    };
    Ok(one.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(tag: &str) -> Pipeline {
        Pipeline {
            tag: Some(tag.to_owned()),
            sha: Some("abc".to_owned()),
            ..Pipeline::default()
        }
    }

    #[test]
    fn fields_are_put_in_place() {
        let cases: [(&str, &[&str]); 7] = [
            ("r/a:{version}", &["r/a:1.2.3"]),
            ("r/a:{major}.{minor}", &["r/a:1.2"]),
            (
                "r/a:{auto}",
                &["r/a:1.2.3", "r/a:1.2", "r/a:1", "r/a:latest"],
            ),
            ("r/a:v{major}-{sha}", &["r/a:v1-abc"]),
            ("r/a:{branch}", &[]),
            ("r/a:{latest}", &["r/a:latest"]),
            ("r/a:plain", &["r/a:plain"]),
        ];
        for (template, expected) in cases {
            assert_eq!(
                expand(template, &pipeline("v1.2.3")).unwrap(),
                expected,
                "{template}"
            );
        }
    }

    #[test]
    fn a_pre_release_has_no_short_forms() {
        let pipeline = pipeline("v2.0.0-beta");
        assert!(expand("a:{major}", &pipeline).unwrap().is_empty());
        assert!(expand("a:{latest}", &pipeline).unwrap().is_empty());
        assert_eq!(expand("a:{version}", &pipeline).unwrap(), ["a:2.0.0-beta"]);
    }

    #[test]
    fn what_is_no_field_is_an_error() {
        let nothing = Pipeline::default();
        let unknown = expand("a:{nope}", &nothing).unwrap_err();
        assert_eq!(unknown, TemplateError::Unknown("nope".to_owned()));
        assert!(unknown.to_string().contains("{short-sha}"), "{unknown}");
        assert_eq!(expand("a:{version", &nothing), Err(TemplateError::Open));
    }
}
