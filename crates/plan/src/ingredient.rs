//! What a key is made of: typed fields, kept after hashing so that two keys can be compared.

use sha2::{Digest as _, Sha256};
use yadokari_image::Platform;

use crate::key::{ContentKey, Key};
use crate::model::StageId;

/// One thing that a step's result depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ingredient {
    /// Words, as an argument of the instruction or of the build.
    Text(&'static str, String),
    /// Bytes, as the text of a heredoc.
    Bytes(&'static str, Vec<u8>),
    /// A number.
    Number(&'static str, u64),
    /// Words in their order.
    List(&'static str, Vec<String>),
    /// A variable of a command's environment.
    Variable {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// Files or an image that were read, by digest.
    Content(&'static str, ContentKey),
    /// All that is below the step in its stage.
    Below(Key),
    /// What is taken from another stage or image.
    Taking(Taking),
}

/// What a step takes from another stage or from an image.
///
/// Before anything runs it is known as paths of a tree that has a key; once that tree is there, by content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taking {
    /// Which of the step's trees this is: always 0 for a copy, the index of the mount for a RUN.
    pub index: usize,
    /// The stage, where it is one.
    pub stage: Option<StageId>,
    /// The paths, as the instruction has them.
    pub paths: Vec<String>,
    /// What identifies the tree: the key of a stage's end, or the digest of an image's manifest.
    pub tree: Key,
}

/// The ingredients of one key, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ingredients(pub(crate) Vec<Ingredient>);

impl Ingredients {
    pub(crate) fn new(operation: &str) -> Self {
        // The version: raised when the meaning of any field changes, so that old records miss.
        Self::default()
            .text("yadokari key", "2")
            .text("operation", operation)
    }

    pub(crate) fn with(mut self, ingredient: Ingredient) -> Self {
        self.0.push(ingredient);
        self
    }

    pub(crate) fn text(self, tag: &'static str, text: &str) -> Self {
        self.with(Ingredient::Text(tag, text.to_owned()))
    }

    pub(crate) fn bytes(self, tag: &'static str, bytes: &[u8]) -> Self {
        self.with(Ingredient::Bytes(tag, bytes.to_owned()))
    }

    pub(crate) fn number(self, tag: &'static str, number: u64) -> Self {
        self.with(Ingredient::Number(tag, number))
    }

    pub(crate) fn list(self, tag: &'static str, items: &[String]) -> Self {
        self.with(Ingredient::List(tag, items.to_vec()))
    }

    pub(crate) fn content(self, tag: &'static str, content: ContentKey) -> Self {
        self.with(Ingredient::Content(tag, content))
    }

    pub(crate) fn below(self, chain: Key) -> Self {
        self.with(Ingredient::Below(chain))
    }

    pub(crate) fn platform(self, platform: &Platform) -> Self {
        self.text("platform", &platform.to_string())
    }

    /// The key: the only place where one is made.
    pub(crate) fn key(&self) -> Key {
        let mut hasher = Hasher(Sha256::new());
        self.0
            .iter()
            .for_each(|ingredient| hasher.ingredient(ingredient));
        Key(hasher.0.finalize().into())
    }
}

/// Hashes typed fields, each as tag, length and bytes.
struct Hasher(Sha256);

impl Hasher {
    fn field(&mut self, tag: &str, bytes: &[u8]) {
        for part in [tag.as_bytes(), bytes] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    fn list(&mut self, tag: &str, items: &[String]) {
        self.field(tag, &(items.len() as u64).to_le_bytes());
        for item in items {
            self.field("item", item.as_bytes());
        }
    }

    fn ingredient(&mut self, ingredient: &Ingredient) {
        match ingredient {
            Ingredient::Text(tag, text) => self.field(tag, text.as_bytes()),
            Ingredient::Bytes(tag, bytes) => self.field(tag, bytes),
            Ingredient::Number(tag, number) => self.field(tag, &number.to_le_bytes()),
            Ingredient::List(tag, items) => self.list(tag, items),
            Ingredient::Variable { name, value } => {
                self.field("variable", name.as_bytes());
                self.field("value", value.as_bytes());
            }
            Ingredient::Content(tag, content) => self.field(tag, &content.0),
            Ingredient::Below(key) => self.field("below", &key.0),
            Ingredient::Taking(taking) => {
                self.list("taken", &taking.paths);
                self.field("tree", &taking.tree.0);
            }
        }
    }
}
