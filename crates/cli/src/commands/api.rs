//! `seawall api OP`: any operation of ECS, raw.

use std::{io::IsTerminal as _, path::Path};

use prost::Message as _;
use seawall_model::nearest;
use serde_json::{Map, Value};

use crate::{
    args::{ApiArgs, Format},
    client::Again,
    context::Context,
    failure::Failure,
    input, output,
};

/// The service that has ECS's operations.
const SERVICE: &str = "Ecs";
/// Before a file's name in `-d`.
const FILE: char = '@';
/// Operations that change nothing begin so.
const READS: [&str; 3] = ["List", "Describe", "Get"];
/// Names shown where one is unknown.
const NEAREST_SHOWN: usize = 3;
/// Pages of one list: beyond them something is wrong with the tokens.
const PAGES_MAX: usize = 10_000;
const NEXT_TOKEN: &str = "nextToken";

/// Sends a request as it is given and prints the answer as it comes.
pub async fn run(ctx: &Context, args: ApiArgs) -> Result<(), Failure> {
    let operation = operation(&args.operation)?;
    let mut request = request(ctx, args.data.as_deref())?;
    if ctx.global.dry_run {
        return output::document(&request);
    }
    let again = if READS.iter().any(|read| operation.starts_with(read)) { Again::Safe } else { Again::Never };
    let client = ctx.client().await?;
    let mut whole = client.raw(again, &operation, &request).await?;
    for page in 1.. {
        let Some(token) = whole.get(NEXT_TOKEN).filter(|_| args.all_pages).cloned() else { break };
        if page == PAGES_MAX {
            return Err(Failure::refused(format!("{operation} has no last page")));
        }
        request.insert(NEXT_TOKEN.to_owned(), token);
        whole = joined(whole, client.raw(again, &operation, &request).await?);
    }
    print(ctx, &whole)
}

/// The operation in ECS's case.
fn operation(text: &str) -> Result<String, Failure> {
    let flat = |name: &str| name.replace('-', "").to_lowercase();
    let known = operations()?;
    if let Some(found) = known.iter().find(|name| flat(name) == flat(text)) {
        return Ok(found.clone());
    }
    let near = nearest(&flat(text), known.iter().map(String::as_str), NEAREST_SHOWN);
    Err(Failure::usage(format!("operation {text:?} is not served (nearest: {})", near.join(", "))))
}

/// Every operation that members of this version serve.
fn operations() -> Result<Vec<String>, Failure> {
    let files = prost_types::FileDescriptorSet::decode(seawall_proto::DESCRIPTORS)
        .map_err(|error| Failure::refused(format!("this program is damaged: {error}")))?;
    let services = files.file.into_iter().flat_map(|file| file.service).filter(|service| service.name() == SERVICE);
    Ok(services.flat_map(|service| service.method).map(|method| method.name().to_owned()).collect())
}

fn request(ctx: &Context, data: Option<&str>) -> Result<Map<String, Value>, Failure> {
    let text = match data {
        None => return Ok(Map::new()),
        Some(data) => match data.strip_prefix(FILE) {
            Some(file) => input::read(&ctx.env, Path::new(file))?,
            None => data.to_owned(),
        },
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(request)) => Ok(request),
        Ok(_) => Err(Failure::usage("-d: a request is a JSON object")),
        Err(error) => Err(Failure::usage(format!("-d: line {}: no JSON: {error}", error.line()))),
    }
}

/// Two pages as one: lists follow each other, all else is the later one's.
fn joined(whole: Value, page: Value) -> Value {
    let (Value::Object(mut whole), Value::Object(page)) = (whole, page) else { return Value::Null };
    whole.remove(NEXT_TOKEN);
    for (name, value) in page {
        match (whole.get_mut(&name), value) {
            (Some(Value::Array(all)), Value::Array(more)) => all.extend(more),
            (_, value) => drop(whole.insert(name, value)),
        }
    }
    Value::Object(whole)
}

fn print(ctx: &Context, answer: &Value) -> Result<(), Failure> {
    let is_for_people = std::io::stdout().is_terminal();
    match output::effective(&ctx.global) {
        Format::Json => output::document(answer),
        Format::Table | Format::Wide if is_for_people => output::document(answer),
        Format::Table | Format::Wide | Format::Jsonl | Format::Name => output::item(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_two_spellings() {
        assert_eq!(operation("ListClusters").unwrap(), "ListClusters");
        assert_eq!(operation("list-task-definition-families").unwrap(), "ListTaskDefinitionFamilies");
        let told = operation("lst-clusters").unwrap_err().to_string();
        assert!(told.starts_with("operation \"lst-clusters\" is not served (nearest: ListClusters, "), "{told}");
        assert!(operation("GetStatus").is_err(), "not ECS's");
    }

    #[test]
    fn pages_become_one_list() {
        let page = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let first = page(r#"{"taskArns":["a"],"nextToken":"t"}"#);
        let both = joined(first, page(r#"{"taskArns":["b"],"failures":[],"nextToken":"u"}"#));
        assert_eq!(both, page(r#"{"taskArns":["a","b"],"failures":[],"nextToken":"u"}"#));
        assert_eq!(joined(both, page(r#"{"taskArns":[]}"#)), page(r#"{"taskArns":["a","b"],"failures":[]}"#));
    }
}
