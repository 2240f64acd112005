//! Targets, multiplied where they say so.

use hcl::{Block, Value};
use serde_yaml::Mapping;

use super::scope::Scope;
use super::{attributes, label};

/// Adds a target, or one for each combination of its matrix and a group of them all.
pub(super) fn add(
    block: &Block,
    scope: &Scope,
    targets: &mut Mapping,
    groups: &mut Mapping,
) -> Result<(), String> {
    let name = label(block)?;
    let part = |key: &str| block.body.attributes().find(|one| one.key.as_str() == key);
    let Some(matrix) = part("matrix") else {
        targets.insert(name.into(), attributes(&block.body, scope)?.into());
        return Ok(());
    };
    let naming =
        part("name").ok_or_else(|| format!("target `{name}` has a matrix and no `name`"))?;
    let mut names = Vec::new();
    for chosen in combinations(&scope.evaluate(&matrix.expr)?)? {
        let inner = scope.with(chosen);
        let own = inner.evaluate(&naming.expr)?;
        let own = own.as_str().unwrap_or_default().to_owned();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if own.is_empty() || !own.chars().all(fits) {
            return Err(format!(
                "target `{name}`: `{own}` is no name; letters, digits, `_` and `-` make one, and sanitize() helps"
            ));
        }
        let mut values = attributes(&block.body, &inner)?;
        values.remove("matrix");
        values.remove("name");
        targets.insert(own.clone().into(), values.into());
        names.push(serde_yaml::Value::from(own));
    }
    let mut group = Mapping::new();
    group.insert("targets".into(), names.into());
    groups.insert(name.into(), group.into());
    Ok(())
}

/// Every combination of the values, the last key changing fastest.
fn combinations(matrix: &Value) -> Result<Vec<Vec<(String, Value)>>, String> {
    let Value::Object(axes) = matrix else {
        return Err("a matrix maps names to lists".to_owned());
    };
    let mut all = vec![Vec::new()];
    for (name, values) in axes {
        let values = values.as_array().filter(|values| !values.is_empty());
        let values = values.ok_or_else(|| format!("matrix: `{name}` is no list of values"))?;
        let longer = |start: &Vec<(String, Value)>| {
            let with = |value: &Value| {
                let mut whole = start.clone();
                whole.push((name.clone(), value.clone()));
                whole
            };
            values.iter().map(with).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    Ok(all)
}
