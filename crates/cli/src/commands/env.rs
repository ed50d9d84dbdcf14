//! `seawall env`: what points other tools at this cluster. Never the global AWS_ENDPOINT_URL, which would point S3 here too.

use std::{fmt::Write as _, io::Write as _};

use serde_json::{Map, Value};

use crate::{
    args::{EnvArgs, Format},
    client::endpoint::Endpoint,
    context::Context,
    failure::Failure,
    output,
};

/// Name of the profile, and of its services.
const NAME: &str = "seawall";
/// Access key and secret where the user has set none: while the cluster has no access keys any signature is accepted, and SDKs
/// send nothing without one.
const DUMMY: &str = "seawall";
/// The endpoints that a cluster serves.
const SERVICES: [&str; 2] = ["ecs", "sts"];
/// What says which keys the user means.
const CREDENTIALS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"];
/// The key that this program signs with, which other tools then use as well.
const OWN: [&str; 2] = ["SEAWALL_ACCESS_KEY_ID", "SEAWALL_SECRET_ACCESS_KEY"];

/// Prints what was asked for.
pub async fn run(ctx: &Context, args: &EnvArgs) -> Result<(), Failure> {
    let endpoint = ctx.client().await?.endpoint().await?;
    let variables = variables(&endpoint, variable);
    let text = match (args.terraform, args.profile, output::effective(&ctx.global)) {
        (true, ..) => provider(&endpoint, variable),
        (_, true, _) => profile(&endpoint, variable),
        (.., Format::Json | Format::Jsonl) => {
            let members = variables.into_iter().map(|(name, value)| (name, Value::from(value)));
            return output::document(&members.collect::<Map<_, _>>());
        }
        (.., Format::Name) => variables.into_iter().map(|(name, _)| format!("{name}\n")).collect(),
        (.., Format::Table | Format::Wide) => exports(&variables),
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// What the user has set a variable to; an empty one is none, to SDKs as well.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Variables for SDKs. Keys that the user has set stay.
pub fn variables(endpoint: &Endpoint, variable: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let urls = SERVICES.map(|service| (format!("AWS_ENDPOINT_URL_{}", service.to_uppercase()), &endpoint.url));
    let regions = ["AWS_REGION", "AWS_DEFAULT_REGION"].map(|name| (name.to_owned(), &endpoint.region));
    let mut all: Vec<(String, String)> =
        urls.into_iter().chain(regions).map(|(name, value)| (name, value.clone())).collect();
    if !CREDENTIALS.iter().any(|name| variable(name).is_some()) {
        let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(str::to_owned);
        let keys = own_key(variable).unwrap_or_else(|| [DUMMY.to_owned(), DUMMY.to_owned()]);
        all.extend(names.into_iter().zip(keys));
    }
    all
}

fn own_key(variable: impl Fn(&str) -> Option<String>) -> Option<[String; 2]> {
    let [id, secret] = OWN.map(variable);
    Some([id?, secret?])
}

fn exports(variables: &[(String, String)]) -> String {
    variables.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value))).collect()
}

/// As a POSIX shell reads it back.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+".contains(c);
    let is_safe = !value.is_empty() && value.chars().all(is_plain);
    if is_safe { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) }
}

fn profile(endpoint: &Endpoint, variable: impl Fn(&str) -> Option<String>) -> String {
    let [id, secret] = own_key(variable).unwrap_or_else(|| [DUMMY.to_owned(), DUMMY.to_owned()]);
    let mut text = format!(
        "[profile {NAME}]\nregion = {}\nservices = {NAME}\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n\n[services {NAME}]\n",
        endpoint.region
    );
    for service in SERVICES {
        // Writing to a string never fails.
        let _ = write!(text, "{service} =\n  endpoint_url = {}\n", endpoint.url);
    }
    text
}

/// A real key stays in the environment: what is printed here ends up in a repository.
fn provider(endpoint: &Endpoint, variable: impl Fn(&str) -> Option<String>) -> String {
    let endpoints: String = SERVICES.iter().map(|service| format!("    {service} = \"{}\"\n", endpoint.url)).collect();
    let has_key = CREDENTIALS.iter().chain(&OWN).any(|name| variable(name).is_some());
    let keys = match has_key {
        true => String::new(),
        false => ["access_key", "secret_key"].map(|name| format!("  {name:<27} = \"{DUMMY}\"\n")).concat(),
    };
    format!(
        r#"provider "aws" {{
  region                      = "{}"
{keys}  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  endpoints {{
{endpoints}  }}
}}
"#,
        endpoint.region
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint { url: "http://127.0.0.1:7400".into(), region: "us-local-1".into() }
    }

    #[test]
    fn a_shell_gets_endpoints_region_and_keys() {
        insta::assert_snapshot!(exports(&variables(&endpoint(), |_| None)), @r"
        export AWS_ENDPOINT_URL_ECS=http://127.0.0.1:7400
        export AWS_ENDPOINT_URL_STS=http://127.0.0.1:7400
        export AWS_REGION=us-local-1
        export AWS_DEFAULT_REGION=us-local-1
        export AWS_ACCESS_KEY_ID=seawall
        export AWS_SECRET_ACCESS_KEY=seawall
        ");
    }

    #[test]
    fn keys_that_are_set_stay() {
        for set in CREDENTIALS {
            let set = |name: &str| (name == set).then(|| "mine".to_owned());
            let all = variables(&endpoint(), set);
            assert!(all.iter().all(|(name, _)| !name.contains("KEY")), "{all:?}");
            assert_eq!(all.len(), 4);
            assert!(!provider(&endpoint(), set).contains("key"));
        }
    }

    #[test]
    fn the_key_that_seawall_signs_with_is_handed_over() {
        let own = |name: &str| OWN.contains(&name).then(|| format!("my {name}"));
        let all = variables(&endpoint(), own);
        let key = ("AWS_SECRET_ACCESS_KEY".to_owned(), "my SEAWALL_SECRET_ACCESS_KEY".to_owned());
        assert_eq!(all.last(), Some(&key));
        assert!(profile(&endpoint(), own).contains("aws_access_key_id = my SEAWALL_ACCESS_KEY_ID\n"));
        assert!(!provider(&endpoint(), own).contains("key"));
    }

    #[test]
    fn a_value_is_never_read_as_more_than_itself() {
        assert_eq!(quoted("http://[::1]:7400"), "'http://[::1]:7400'");
        assert_eq!(quoted("a'; rm -rf $HOME"), r"'a'\''; rm -rf $HOME'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_profile_names_its_services() {
        insta::assert_snapshot!(profile(&endpoint(), |_| None), @r"
        [profile seawall]
        region = us-local-1
        services = seawall
        aws_access_key_id = seawall
        aws_secret_access_key = seawall

        [services seawall]
        ecs =
          endpoint_url = http://127.0.0.1:7400
        sts =
          endpoint_url = http://127.0.0.1:7400
        ");
    }

    #[test]
    fn a_provider_asks_nobody_else() {
        insta::assert_snapshot!(provider(&endpoint(), |_| None), @r#"
        provider "aws" {
          region                      = "us-local-1"
          access_key                  = "seawall"
          secret_key                  = "seawall"
          skip_credentials_validation = true
          skip_metadata_api_check     = true
          skip_region_validation      = true
          endpoints {
            ecs = "http://127.0.0.1:7400"
            sts = "http://127.0.0.1:7400"
          }
        }
        "#);
    }
}
