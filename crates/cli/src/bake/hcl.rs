//! Bake files in HCL: evaluated, and given on in the form that bake files in JSON have.
//!
//! Variables, attributes of the file, `matrix`, and the functions of [`functions`] are there. A function that a file
//! defines itself is an error that names it.

mod functions;
mod matrix;
mod scope;

use std::collections::BTreeMap;

use ::hcl::{Block, Body, Structure};
use serde_yaml::{Mapping, Value};

pub(super) use scope::Scope;

/// What a file says, with every expression evaluated. What it declares stays in `scope` for the files after it.
pub(super) fn evaluate(
    text: &str,
    variables: &BTreeMap<String, String>,
    scope: &mut Scope,
) -> Result<Value, String> {
    let body = ::hcl::parse(text).map_err(|error| error.to_string())?;
    scope.declare(&body, variables)?;
    let (mut targets, mut groups) = (Mapping::new(), Mapping::new());
    for block in blocks(&body) {
        match block.identifier.as_str() {
            "target" => matrix::add(block, scope, &mut targets, &mut groups)?,
            "group" => {
                let group = attributes(&block.body, scope)?;
                groups.insert(label(block)?.into(), group.into());
            }
            "variable" => scope.validate(block)?,
            "function" => {
                return Err(format!(
                    "the function `{}` is defined in the file, which is not evaluated here",
                    label(block)?
                ));
            }
            other => return Err(format!("unknown block `{other}`")),
        }
    }
    let mut whole = Mapping::new();
    whole.insert("group".into(), groups.into());
    whole.insert("target".into(), targets.into());
    Ok(whole.into())
}

fn blocks(body: &Body) -> impl Iterator<Item = &Block> {
    body.iter().filter_map(Structure::as_block)
}

/// The name behind a block's kind.
fn label(block: &Block) -> Result<String, String> {
    match block.labels.as_slice() {
        [label] => Ok(label.as_str().to_owned()),
        _ => Err(format!("a block `{}` wants one name", block.identifier)),
    }
}

/// A list without empty text, which is how conditions leave an entry out.
fn without_empty(value: ::hcl::Value) -> ::hcl::Value {
    match value {
        ::hcl::Value::Array(mut items) => {
            items.retain(|item| item.as_str() != Some(""));
            ::hcl::Value::Array(items)
        }
        other => other,
    }
}

/// The attributes of a block, evaluated. Blocks below it have no meaning.
fn attributes(body: &Body, scope: &Scope) -> Result<Mapping, String> {
    let mut found = Mapping::new();
    for structure in body.iter() {
        match structure {
            Structure::Attribute(attribute) => {
                let value = without_empty(scope.evaluate(&attribute.expr)?);
                let value = serde_yaml::to_value(&value).map_err(|error| error.to_string())?;
                found.insert(attribute.key.as_str().into(), value);
            }
            Structure::Block(block) => {
                return Err(format!("unknown block `{}`", block.identifier));
            }
        }
    }
    Ok(found)
}
