//! Adding a login to a Docker config.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{CredentialError, helper};
use crate::Secret;

/// The text of a Docker config with one more login; everything else in `config` stays.
///
/// An empty `config` is taken for a missing one. The password is stored as Docker does
/// without a credential store: in base64, readable by whoever reads the file.
///
/// # Errors
///
/// [`CredentialError::Format`] if `config` is no JSON object, or its `auths` are none.
pub fn with_login(
    config: &str,
    registry: &str,
    username: &str,
    password: &Secret,
) -> Result<String, CredentialError> {
    let invalid = |reason: String| CredentialError::Format {
        place: "the present config".to_owned(),
        reason,
    };
    let mut content: Map<String, Value> = match config.trim() {
        "" => Map::new(),
        text => serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?,
    };
    let auths = content.entry("auths").or_insert_with(|| json!({}));
    let auths = auths
        .as_object_mut()
        .ok_or_else(|| invalid("`auths` is not an object".to_owned()))?;
    let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
    auths.insert(helper::server(registry).to_owned(), json!({ "auth": pair }));
    Ok(format!("{:#}\n", Value::Object(content)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_added_and_the_rest_stays() {
        let config = r#"{"credsStore":"x","auths":{"a":{"auth":"old"},"b":{"auth":"kept"}}}"#;
        let text = with_login(config, "a", "u", &Secret::new("p")).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let expected =
            json!({"credsStore": "x", "auths": {"a": {"auth": "dTpw"}, "b": {"auth": "kept"}}});
        assert_eq!(value, expected);
    }

    #[test]
    fn the_first_login_makes_the_config() {
        let text = with_login("", "docker.io", "u", &Secret::new("p")).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value["auths"]["https://index.docker.io/v1/"]["auth"],
            "dTpw"
        );
        for broken in ["[]", "{", r#"{"auths":[]}"#] {
            assert!(
                with_login(broken, "a", "u", &Secret::new("p")).is_err(),
                "{broken}"
            );
        }
    }
}
