//! Reads Dockerfiles as BuildKit does: bytes to lines, lines to typed instructions, instructions to stages.
//!
//! [`parse`] gives a [`Dockerfile`] whose values are still as written, and the warnings that parsing alone
//! decides. What depends on variables is done later, by whoever knows them, with [`expand::Expander`]. Also
//! here: ignore files ([`ignore::Patterns`]), file name patterns ([`glob`]), build checks ([`lint`]) and the
//! small languages inside values ([`value`]).
//!
//! Nothing here does any I/O. Every error says which lines it is about, and reads as BuildKit words it.
//!
//! ```
//! let parsed = yadokari_dockerfile::parse(b"FROM busybox AS Build\nRUN make\n")?;
//! assert_eq!(parsed.dockerfile.stages[0].name.as_deref(), Some("build"));
//! assert_eq!(parsed.warnings[0].to_string(), "StageNameCasing: Stage name 'Build' should be lowercase (line 1)");
//! # Ok::<(), yadokari_dockerfile::ParseError>(())
//! ```

mod assemble;
mod directive;
mod error;
pub mod expand;
mod flags;
pub mod glob;
mod heredoc;
mod hint;
pub mod ignore;
pub mod instruction;
mod lexer;
pub mod lint;
mod matcher;
mod node;
mod parse;
mod parse_lint;
pub mod secret;
mod source;
mod span;
mod stage;
pub mod suggest;
mod text;
pub mod value;
mod words;

pub use error::{CheckOptionsError, ParseError, ParseErrorKind};
pub use expand::{ExpandError, Expanded, Expander};
pub use heredoc::Heredoc;
pub use instruction::{Instruction, Located};
pub use lint::{CheckOptions, Lint, Rule, Warning};
pub use parse::{parse, parse_trigger, parse_with_check};
pub use source::Source;
pub use span::{Columns, Span};
pub use stage::{Dockerfile, Parsed, Stage};
