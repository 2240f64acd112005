//! The variables of bake files.

use std::collections::BTreeMap;

use hcl::eval::{Context, Evaluate as _};
use hcl::{Block, Body, Expression, Structure, Value};
use yadokari_image::Platform;

use super::{blocks, functions, label};

/// What expressions may refer to.
#[derive(Debug, Clone)]
pub(in super::super) struct Scope {
    values: BTreeMap<String, Value>,
}

impl Default for Scope {
    fn default() -> Self {
        let platform = Value::from(Platform::host().to_string());
        Self {
            values: [("BAKE_LOCAL_PLATFORM".to_owned(), platform)].into(),
        }
    }
}

impl Scope {
    /// Declares the variables and attributes of a file, which may refer to each other in any order.
    pub(super) fn declare(
        &mut self,
        body: &Body,
        variables: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        let mut waiting = self.declared(body, variables)?;
        while !waiting.is_empty() {
            let (mut later, mut problem) = (Vec::new(), None);
            let before = waiting.len();
            for (name, expression, given) in waiting {
                match self.evaluate(&expression) {
                    Ok(default) => {
                        let value =
                            given.map_or(Ok(default.clone()), |text| typed(&text, &default));
                        let value = value.map_err(|reason| format!("{name}: {reason}"))?;
                        self.values.insert(name, value);
                    }
                    Err(reason) => {
                        problem = problem.or(Some(format!("{name}: {reason}")));
                        later.push((name, expression, given));
                    }
                }
            }
            if later.len() == before {
                return Err(problem.unwrap_or_default());
            }
            waiting = later;
        }
        Ok(())
    }

    /// Names with the expressions of their defaults, and what the environment has in their place.
    fn declared(
        &self,
        body: &Body,
        variables: &BTreeMap<String, String>,
    ) -> Result<Vec<(String, Expression, Option<String>)>, String> {
        let mut found = Vec::new();
        for structure in body.iter() {
            match structure {
                Structure::Attribute(attribute) => {
                    found.push((attribute.key.to_string(), attribute.expr.clone(), None));
                }
                Structure::Block(block) if block.identifier.as_str() == "variable" => {
                    let name = label(block)?;
                    let default = block
                        .body
                        .attributes()
                        .find(|one| one.key.as_str() == "default");
                    let empty = || Expression::from("");
                    let default = default.map_or_else(empty, |one| one.expr.clone());
                    let given = variables.get(&name).cloned();
                    found.push((name, default, given));
                }
                Structure::Block(_) => {}
            }
        }
        Ok(found)
    }

    /// Checks what a variable says of its values.
    pub(super) fn validate(&self, variable: &Block) -> Result<(), String> {
        for rule in blocks(&variable.body).filter(|one| one.identifier.as_str() == "validation") {
            let part = |name: &str| rule.body.attributes().find(|one| one.key.as_str() == name);
            let Some(condition) = part("condition") else {
                continue;
            };
            if self.evaluate(&condition.expr)? == Value::Bool(true) {
                continue;
            }
            let words = part("error_message").map(|words| self.evaluate(&words.expr));
            let words = words.transpose()?.unwrap_or_default();
            let words = words.as_str().unwrap_or("its value is not allowed");
            return Err(format!("variable {}: {words}", label(variable)?));
        }
        Ok(())
    }

    /// The same with more variables.
    pub(super) fn with(&self, more: impl IntoIterator<Item = (String, Value)>) -> Self {
        let mut inner = self.clone();
        inner.values.extend(more);
        inner
    }

    /// The value of an expression.
    pub(super) fn evaluate(&self, expression: &Expression) -> Result<Value, String> {
        let mut context = Context::new();
        functions::declare(&mut context);
        for (name, value) in &self.values {
            let name = hcl::Identifier::new(name).map_err(|error| error.to_string())?;
            context.declare_var(name, value.clone());
        }
        expression.evaluate(&context).map_err(|error| {
            error
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned()
        })
    }
}

/// Text of the environment as a value of the kind that the default is of.
fn typed(text: &str, default: &Value) -> Result<Value, String> {
    match default {
        Value::Bool(_) => match text {
            "1" | "t" | "true" | "T" | "True" | "TRUE" => Ok(true.into()),
            "0" | "f" | "false" | "F" | "False" | "FALSE" => Ok(false.into()),
            _ => Err(format!("`{text}` is neither true nor false")),
        },
        Value::Number(_) => {
            let whole = text.parse::<i64>().ok().map(Value::from);
            let number = whole.or_else(|| text.parse::<f64>().ok().map(Value::from));
            number.ok_or_else(|| format!("`{text}` is no number"))
        }
        Value::String(_) | Value::Null => Ok(text.into()),
        Value::Array(_) | Value::Object(_) => {
            Err("a list cannot be given by a variable of the environment".to_owned())
        }
    }
}
