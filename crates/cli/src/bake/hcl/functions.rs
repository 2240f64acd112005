//! The functions that expressions may call: those of buildx that need no clock and no pattern.

use hcl::Value;
use hcl::eval::{Context, Func, FuncArgs, FuncDef, ParamType};

type Answer = Result<Value, String>;

/// Declares them all. They look at their arguments themselves.
pub(super) fn declare(context: &mut Context<'_>) {
    for (name, function) in TABLE {
        let definition = FuncDef::builder()
            .variadic_param(ParamType::Any)
            .build(*function);
        context.declare_func(*name, definition);
    }
}

const TABLE: &[(&str, Func)] = &[
    ("add", |args| number(&args, |a, b| a + b)),
    ("subtract", |args| number(&args, |a, b| a - b)),
    ("multiply", |args| number(&args, |a, b| a * b)),
    ("equal", |args| Ok((at(&args, 0)? == at(&args, 1)?).into())),
    ("notequal", |args| {
        Ok((at(&args, 0)? != at(&args, 1)?).into())
    }),
    ("and", |args| {
        Ok((truth(&args, 0)? && truth(&args, 1)?).into())
    }),
    ("or", |args| {
        Ok((truth(&args, 0)? || truth(&args, 1)?).into())
    }),
    ("not", |args| Ok((!truth(&args, 0)?).into())),
    ("upper", |args| Ok(text(&args, 0)?.to_uppercase().into())),
    ("lower", |args| Ok(text(&args, 0)?.to_lowercase().into())),
    ("trimspace", |args| Ok(text(&args, 0)?.trim().into())),
    ("trimprefix", |args| {
        let (whole, start) = (text(&args, 0)?, text(&args, 1)?);
        Ok(whole.strip_prefix(start).unwrap_or(whole).into())
    }),
    ("trimsuffix", |args| {
        let (whole, end) = (text(&args, 0)?, text(&args, 1)?);
        Ok(whole.strip_suffix(end).unwrap_or(whole).into())
    }),
    ("replace", |args| {
        Ok(text(&args, 0)?
            .replace(text(&args, 1)?, text(&args, 2)?)
            .into())
    }),
    ("sanitize", |args| Ok(sanitized(text(&args, 0)?).into())),
    ("split", |args| {
        let (separator, whole) = (text(&args, 0)?, text(&args, 1)?);
        let parts = whole.split(separator).map(Value::from);
        Ok(Value::Array(parts.collect()))
    }),
    ("join", |args| {
        let words: Result<Vec<_>, _> = list(&args, 1)?.iter().map(shown).collect();
        Ok(words?.join(text(&args, 0)?).into())
    }),
    ("concat", |args| {
        let lists = (0..args.len()).map(|place| list(&args, place));
        let lists: Result<Vec<_>, _> = lists.collect();
        Ok(Value::Array(
            lists?.into_iter().flatten().cloned().collect(),
        ))
    }),
    ("contains", |args| {
        Ok(list(&args, 0)?.contains(at(&args, 1)?).into())
    }),
    ("length", |args| {
        let length = match at(&args, 0)? {
            Value::Array(items) => items.len(),
            Value::Object(entries) => entries.len(),
            Value::String(text) => text.chars().count(),
            _ => return Err("length() wants a list, a map or text".to_owned()),
        };
        Ok(Value::from(length as u64))
    }),
    ("keys", |args| match at(&args, 0)? {
        Value::Object(entries) => Ok(Value::Array(
            entries.keys().cloned().map(Value::from).collect(),
        )),
        _ => Err("keys() wants a map".to_owned()),
    }),
    ("merge", |args| {
        let mut whole = hcl::Map::new();
        for place in 0..args.len() {
            match at(&args, place)? {
                Value::Object(entries) => whole.extend(entries.clone()),
                Value::Null => {}
                _ => return Err("merge() wants maps".to_owned()),
            }
        }
        Ok(Value::Object(whole))
    }),
    ("coalesce", |args| {
        let nothing = |value: &&Value| !matches!(value, Value::Null) && value.as_str() != Some("");
        let found = args.iter().find(nothing).cloned();
        found.ok_or_else(|| "coalesce() was given nothing".to_owned())
    }),
    ("format", |args| formatted(&args)),
];

/// The characters that a target's name may have, `_` for all others.
fn sanitized(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    text.chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect()
}

/// `%s`, `%d`, `%v`, `%q` and `%%`.
fn formatted(args: &FuncArgs) -> Answer {
    let (mut out, mut next) = (String::new(), 1);
    let mut letters = text(args, 0)?.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('%') => out.push('%'),
            Some('s' | 'd' | 'v') => {
                out.push_str(&shown(at(args, next)?)?);
                next += 1;
            }
            Some('q') => {
                out.push_str(&format!("{:?}", shown(at(args, next)?)?));
                next += 1;
            }
            other => {
                return Err(format!(
                    "format(): `%{}` is not known",
                    other.unwrap_or(' ')
                ));
            }
        }
    }
    Ok(out.into())
}

fn at(args: &FuncArgs, place: usize) -> Result<&Value, String> {
    let missing = || format!("argument {} is missing", place + 1);
    args.get(place).ok_or_else(missing)
}

fn text(args: &FuncArgs, place: usize) -> Result<&str, String> {
    let wrong = || format!("argument {} is no text", place + 1);
    at(args, place)?.as_str().ok_or_else(wrong)
}

fn truth(args: &FuncArgs, place: usize) -> Result<bool, String> {
    match at(args, place)? {
        Value::Bool(truth) => Ok(*truth),
        _ => Err(format!("argument {} is neither true nor false", place + 1)),
    }
}

fn list(args: &FuncArgs, place: usize) -> Result<&Vec<Value>, String> {
    let wrong = || format!("argument {} is no list", place + 1);
    at(args, place)?.as_array().ok_or_else(wrong)
}

fn number(args: &FuncArgs, work: fn(f64, f64) -> f64) -> Answer {
    let part = |place: usize| match at(args, place)? {
        Value::Number(number) => number
            .as_f64()
            .ok_or("a number that is too large".to_owned()),
        _ => Err(format!("argument {} is no number", place + 1)),
    };
    let result = work(part(0)?, part(1)?);
    // Whole numbers stay whole, as they are written.
    match result.fract() == 0.0 && result.abs() < 9e15 {
        true => Ok(Value::from(result as i64)),
        false => Ok(Value::from(result)),
    }
}

/// A value inside text.
fn shown(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null => Ok(String::new()),
        Value::Array(_) | Value::Object(_) => Err("a list or map is no text".to_owned()),
    }
}
