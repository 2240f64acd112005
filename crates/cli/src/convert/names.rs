//! Names that images are to have.

use yadokari_image::Reference;

use super::UsageError;

/// Parses a name for an image that is going to be pushed.
///
/// # Errors
///
/// It is no reference, or has a digest: an image's digest follows from what is in it.
pub fn target(flag: &'static str, text: &str) -> Result<Reference, UsageError> {
    let reference = Reference::parse(text).map_err(|source| UsageError::Reference {
        flag,
        value: text.to_owned(),
        source,
    })?;
    match reference.digest() {
        Some(_) => Err(UsageError::Value {
            flag,
            value: text.to_owned(),
            reason: "leave the digest out: it follows from what is in the image".to_owned(),
        }),
        None => Ok(reference),
    }
}
