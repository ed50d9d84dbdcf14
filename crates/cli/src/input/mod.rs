//! Files that people write: ECS's JSON, read strictly.

mod check;
pub mod scan;

use std::{io::Read as _, path::Path};

use seawall_env::Env;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::Failure;

pub use check::{mistake, unknown};

/// Larger files are no definitions.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Reads the request `shape` from a file of ECS's JSON, or from standard input for `-`.
///
/// # Errors
/// Each names the file's subject, and the path and line of the mistake.
pub fn request<T: DeserializeOwned>(env: &Env, subject: &str, shape: &str, file: &Path) -> Result<T, Failure> {
    let text = read(env, file)?;
    parse(subject, shape, &text)
}

fn parse<T: DeserializeOwned>(subject: &str, shape: &str, text: &str) -> Result<T, Failure> {
    let value: Value = serde_json::from_str(text)
        .map_err(|e| Failure::refused(format!("{subject}: line {}: no JSON: {e}", e.line())))?;
    let named = subject_of(subject, &value);
    let lines = scan::lines(text).map_err(|b| Failure::refused(format!("{named}: line {}: {}", b.line, b.what)))?;
    if let Some(mistake) = check::mistake(shape, &value, &lines) {
        return Err(Failure::refused(format!("{named}: {mistake}")));
    }
    serde_json::from_value(value).map_err(|e| Failure::refused(format!("{named}: {e}")))
}

/// "task definition web": what the document calls itself, if it does.
fn subject_of(subject: &str, value: &Value) -> String {
    let name = ["family", "serviceName"].iter().find_map(|key| value.get(key)?.as_str());
    name.map_or_else(|| subject.to_owned(), |name| format!("{subject} {name}"))
}

/// Text of a file, or of standard input for `-`.
pub fn read(env: &Env, file: &Path) -> Result<String, Failure> {
    read_at_most(env, file, FILE_BYTES_MAX)
}

/// The same with a limit of its own.
pub fn read_at_most(env: &Env, file: &Path, bytes_max: usize) -> Result<String, Failure> {
    let shown = file.display();
    let bytes = if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
        bytes
    } else {
        match env.fs().read(file) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(Failure::refused(format!("{shown}: there is no such file"))),
            Err(error) => return Err(Failure::refused(format!("{shown}: {error}"))),
        }
    };
    if bytes.len() > bytes_max {
        return Err(Failure::refused(format!("{shown}: larger than {bytes_max} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| Failure::refused(format!("{shown}: not UTF-8")))
}

#[cfg(test)]
mod tests {
    use seawall_proto::v1::RegisterTaskDefinitionRequest;

    use super::*;

    fn refusal(text: &str) -> String {
        parse::<RegisterTaskDefinitionRequest>("task definition", "RegisterTaskDefinitionRequest", text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn an_unknown_member_is_refused_by_path_line_and_nearest_name() {
        let text = "{\n  \"family\": \"web\",\n  \"containerDefinitions\": [\n    {\n      \"name\": \"web\",\n      \
                    \"image\": \"web:1\",\n      \"cpu\": 64,\n      \"essential\": true,\n      \"memroy\": 64\n    }\n  ]\n}";
        assert_eq!(
            refusal(text),
            "task definition web: containerDefinitions[0].memroy (line 9): unknown; did you mean memory?"
        );
    }

    #[test]
    fn a_wrong_type_is_refused_by_path_and_line() {
        let text = "{\"family\": \"web\",\n \"containerDefinitions\": [{\"memory\": \"64\"}]}";
        assert_eq!(
            refusal(text),
            "task definition web: containerDefinitions[0].memory (line 2): expected a whole number, found \"64\""
        );
        assert_eq!(refusal("[]"), "task definition: expected an object, found a list");
        let list = refusal("{\"containerDefinitions\": {}}");
        assert_eq!(list, "task definition: containerDefinitions (line 1): expected a list, found an object");
    }

    #[test]
    fn what_is_no_json_is_refused_by_line() {
        assert!(refusal("{\n\"family\": }").starts_with("task definition: line 2: no JSON: "));
        assert!(refusal("{\"family\": \"a\",\n\"family\": \"b\"}").contains("line 2: family stands on line 1 already"));
    }

    #[test]
    fn a_whole_definition_is_read() {
        let text = r#"{"family": "web", "networkMode": null, "containerDefinitions": [{"name": "web", "image": "web:1",
            "memory": 64, "dockerLabels": {"any.key": "x"}, "portMappings": [{"containerPort": 80}]}]}"#;
        let request: RegisterTaskDefinitionRequest =
            parse("task definition", "RegisterTaskDefinitionRequest", text).unwrap();
        assert_eq!(request.container_definitions[0].docker_labels["any.key"], "x");
        assert_eq!(request.container_definitions[0].port_mappings[0].container_port, Some(80));
    }
}
