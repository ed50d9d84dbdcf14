//! `seawall api OP`: any operation of ECS, raw.

use std::{io::IsTerminal as _, path::Path};

use prost::Message as _;
use seawall_model::nearest;
use serde_json::{Map, Value};

use crate::{
    args::{ApiArgs, Format},
    context::Context,
    failure::Failure,
    input, output,
};

/// The service that has ECS's operations.
const SERVICE: &str = "Ecs";
/// Before a file's name in `-d`.
const FILE: char = '@';
/// What a member answers to a name that is none of ECS's.
const UNKNOWN: &str = "UnknownOperationException";
/// Names shown where one is unknown.
const NEAREST_SHOWN: usize = 3;
/// Pages of one list: beyond them something is wrong with the tokens.
const PAGES_MAX: usize = 10_000;
const NEXT_TOKEN: &str = "nextToken";

/// Sends a request as it is given and prints the answer as it comes.
pub async fn run(ctx: &Context, args: ApiArgs) -> Result<(), Failure> {
    let mut request = request(ctx, args.data.as_deref())?;
    if ctx.global.dry_run {
        return output::document(&request);
    }
    let known = operations()?;
    let operation = in_ecs_case(&args.operation, &known);
    let client = ctx.client().await?;
    let first = client.raw(&operation, &request).await;
    let mut whole = first.map_err(|failure| with_nearest(failure, &args.operation, &known))?;
    for page in 1.. {
        let Some(token) = whole.get(NEXT_TOKEN).filter(|_| args.all_pages).cloned() else { break };
        if page == PAGES_MAX {
            return Err(Failure::refused(format!("{operation} has no last page")));
        }
        request.insert(NEXT_TOKEN.to_owned(), token);
        whole = joined(whole, client.raw(&operation, &request).await?);
    }
    print(ctx, &whole)
}

/// The operation as ECS calls it. One that this program does not know goes to the member as well, which may know it, or why it
/// is not served.
fn in_ecs_case(text: &str, known: &[String]) -> String {
    let flat = |name: &str| name.replace('-', "").to_lowercase();
    if let Some(found) = known.iter().find(|name| flat(name) == flat(text)) {
        return found.clone();
    }
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    };
    text.split('-').map(capital).collect()
}

fn with_nearest(failure: Failure, text: &str, known: &[String]) -> Failure {
    if !failure.what.starts_with(UNKNOWN) {
        return failure;
    }
    let near = nearest(&text.replace('-', ""), known.iter().map(String::as_str), NEAREST_SHOWN);
    Failure::usage(format!("{text:?} is no operation of ECS (nearest: {})", near.join(", ")))
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
        let known = operations().unwrap();
        assert!(known.iter().any(|name| name == "ListClusters") && !known.iter().any(|name| name == "GetStatus"));
        let spelled = ["ListClusters", "list-clusters", "listClusters", "execute-command", "ExecuteCommand"];
        let spelled = spelled.map(|text| in_ecs_case(text, &known));
        assert_eq!(spelled, ["ListClusters", "ListClusters", "ListClusters", "ExecuteCommand", "ExecuteCommand"]);
    }

    #[test]
    fn an_operation_that_ecs_does_not_have_is_told_with_the_nearest() {
        let known = operations().unwrap();
        let told = |what: &str| with_nearest(Failure::refused(what), "lst-clusters", &known).to_string();
        let nearest = told("UnknownOperationException: LstClusters is not an operation");
        assert!(nearest.starts_with("\"lst-clusters\" is no operation of ECS (nearest: ListClusters, "), "{nearest}");
        assert_eq!(told("ClientException: no"), "ClientException: no");
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
