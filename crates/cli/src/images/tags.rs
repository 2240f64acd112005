//! `tags`: what a repository holds by name.

use serde_json::json;

use super::{Ground, refused, repository};
use crate::flags::go::Switch;
use crate::flags::images::Tags;
use crate::report::Failure;

pub(super) async fn run(tags: &Tags, ground: &Ground<'_>) -> Result<String, Failure> {
    let repository = repository(&tags.repository)?;
    let mut found = ground.client.tags(&repository).await.map_err(refused)?;
    found.retain(|tag| {
        tags.referrers == Some(Switch(true)) || super::referrers::subject_of(tag).is_none()
    });
    found.sort();
    if tags.json == Some(Switch(true)) {
        return Ok(format!(
            "{:#}\n",
            json!({"name": repository.to_string(), "tags": found})
        ));
    }
    Ok(found.iter().map(|tag| format!("{tag}\n")).collect())
}
