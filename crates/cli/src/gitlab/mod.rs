//! What GitLab's variables say about the names an image should get.

mod tags;
mod template;

pub use tags::{Pipeline, Version};
pub use template::{TemplateError, expand};
