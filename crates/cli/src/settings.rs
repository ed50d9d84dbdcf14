//! The TOML file of `--config`: keys are the names of the flags. The file's values are put where the command line and
//! the environment say nothing, before clap reads them, so that all three are checked by the same rules.

use std::{ffi::OsString, path::Path};

use clap::{Arg, Command, CommandFactory as _, FromArgMatches as _};
use seawall_env::Env;
use toml::Value;

use crate::{
    args::Cli,
    failure::{Exit, Failure},
    input,
};

/// Reads the command line, with the settings file that it or the environment names.
pub fn parse(env: &Env, argv: Vec<OsString>) -> Result<Cli, Failure> {
    let argv = with_file(env, passed_through(argv))?;
    let matches = Cli::command().try_get_matches_from(argv).map_err(|error| {
        // clap knows best whether this belongs on standard output (help) or standard error.
        let shown = error.print();
        match (error.exit_code(), shown) {
            (0, Err(broken)) => broken.into(),
            (0, Ok(())) => std::process::exit(0),
            _ => Failure::shown(Exit::Usage),
        }
    })?;
    Cli::from_arg_matches(&matches).map_err(|e| Failure::usage(e.to_string()))
}

/// What follows `aws` is that program's, flags and all: `--` keeps clap from reading it. Only help right after it is ours.
fn passed_through(mut argv: Vec<OsString>) -> Vec<OsString> {
    if let Some(at) = subcommand_at(&Cli::command(), &argv).filter(|at| argv[*at] == "aws")
        && !argv.get(at + 1).is_some_and(|word| word == "-h" || word == "--help")
    {
        argv.insert(at + 1, "--".into());
    }
    argv
}

fn with_file(env: &Env, mut argv: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
    let root = Cli::command();
    let Some(at) = subcommand_at(&root, &argv) else { return Ok(argv) };
    let Some(command) = argv[at].to_str().and_then(|name| root.find_subcommand(name)) else { return Ok(argv) };
    if !command.get_arguments().any(|arg| arg.get_long() == Some("config")) {
        return Ok(argv);
    }
    let given = value_of(&argv[at + 1..], "config").or_else(|| std::env::var_os("SEAWALL_CONFIG"));
    let Some(file) = given else { return Ok(argv) };
    let path = Path::new(&file);
    let shown = path.display().to_string();
    let refuse = |why: &str| Failure::usage(format!("config {shown}: {why}"));
    let bytes =
        env.fs().read(path).map_err(|e| refuse(&e.to_string()))?.ok_or_else(|| refuse("there is no such file"))?;
    let text = String::from_utf8(bytes).map_err(|_| refuse("not UTF-8"))?;
    let flags: Vec<&Arg> = command.get_arguments().chain(root.get_arguments()).collect();
    let is_set = |arg: &Arg| is_given(&argv, arg) || arg.get_env().is_some_and(|name| std::env::var_os(name).is_some());
    let more = flags_of(&shown, &text, &flags, is_set)?;
    argv.splice(at + 1..at + 1, more.into_iter().map(OsString::from));
    Ok(argv)
}

/// Where the name of the subcommand stands, past the global flags and their values.
fn subcommand_at(root: &Command, argv: &[OsString]) -> Option<usize> {
    let mut at = 1;
    while let Some(word) = argv.get(at) {
        let word = word.to_str()?;
        if !word.starts_with('-') {
            return Some(at);
        }
        let takes_value = root.get_arguments().any(|arg| {
            let named = arg.get_long().is_some_and(|long| word == format!("--{long}"))
                || arg.get_short().is_some_and(|short| word == format!("-{short}"));
            named && arg.get_action().takes_values()
        });
        at += if takes_value { 2 } else { 1 };
    }
    None
}

fn value_of(argv: &[OsString], flag: &str) -> Option<OsString> {
    let (long, with_value) = (format!("--{flag}"), format!("--{flag}="));
    argv.iter().enumerate().find_map(|(i, word)| match word.to_str() {
        Some(word) if word == long => argv.get(i + 1).cloned(),
        Some(word) => word.strip_prefix(&with_value).map(OsString::from),
        None => None,
    })
}

fn is_given(argv: &[OsString], arg: &Arg) -> bool {
    let long = arg.get_long().unwrap_or_default();
    let short = arg.get_short().map(|short| format!("-{short}"));
    argv.iter().filter_map(|word| word.to_str()).any(|word| {
        word.strip_prefix("--").is_some_and(|name| name == long || name.starts_with(&format!("{long}=")))
            || short.as_deref() == Some(word)
    })
}

/// The settings as flags, without those that `is_set` already.
fn flags_of(file: &str, text: &str, flags: &[&Arg], is_set: impl Fn(&Arg) -> bool) -> Result<Vec<String>, Failure> {
    let table: toml::Table = text.parse().map_err(|e| Failure::usage(format!("config {file}: {e}")))?;
    let known = || flags.iter().filter_map(|arg| arg.get_long()).filter(|name| *name != "config");
    let mut out = Vec::new();
    for (key, value) in &table {
        let Some(arg) = flags.iter().find(|arg| arg.get_long() == Some(key) && key != "config") else {
            let unknown = input::unknown(key, key, known(), line_of(text, key));
            return Err(Failure::usage(format!("config {file}: {unknown}")));
        };
        if !is_set(arg) {
            let refuse =
                |why: &str| Failure::usage(format!("config {file}: {key} (line {}): {why}", line_of(text, key)));
            out.extend(flag(key, value, arg).map_err(refuse)?);
        }
    }
    Ok(out)
}

fn flag(key: &str, value: &Value, arg: &Arg) -> Result<Option<String>, &'static str> {
    if !arg.get_action().takes_values() {
        return match value {
            Value::Boolean(true) => Ok(Some(format!("--{key}"))),
            Value::Boolean(false) => Ok(None),
            _ => Err("expected true or false"),
        };
    }
    let text = match value {
        Value::Array(items) if arg.get_value_delimiter().is_some() => items
            .iter()
            .map(scalar)
            .collect::<Option<Vec<_>>>()
            .ok_or("expected a list of strings or numbers")?
            .join(","),
        Value::Array(_) => return Err("expected one value, found a list"),
        value => scalar(value).ok_or("expected a string or a number")?,
    };
    Ok(Some(format!("--{key}={text}")))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

fn line_of(text: &str, key: &str) -> usize {
    let starts = |line: &str| line.trim_start().trim_start_matches(['[', '"', '\'']).starts_with(key);
    text.lines().position(starts).map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn server_flags(text: &str, set: &[&str]) -> Result<Vec<String>, Failure> {
        let root = Cli::command();
        let server = root.find_subcommand("server").unwrap();
        let flags: Vec<&Arg> = server.get_arguments().chain(root.get_arguments()).collect();
        flags_of("s.toml", text, &flags, |arg| arg.get_long().is_some_and(|name| set.contains(&name)))
    }

    #[test]
    fn settings_stand_in_for_flags_that_are_not_given() {
        let text = "zone = \"a\"\njoin = [\"s1:7401\", \"s2:7401\"]\nexpect = 3\ninsecure = true\nname = \"s9\"\n";
        let flags = server_flags(text, &["name"]).unwrap();
        assert_eq!(flags, ["--expect=3", "--insecure", "--join=s1:7401,s2:7401", "--zone=a"]);
    }

    #[test]
    fn an_unknown_key_is_refused_with_line_and_nearest_name() {
        let failure = server_flags("zone = \"a\"\ndata_dir = \"/x\"\n", &[]).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(failure.what, "config s.toml: data_dir (line 2): unknown; did you mean data-dir?");
        assert!(server_flags("[server]\nzone = \"a\"\n", &[]).is_err());
    }

    #[test]
    fn a_wrong_type_is_refused() {
        let failure = server_flags("insecure = \"yes\"", &[]).unwrap_err();
        assert_eq!(failure.what, "config s.toml: insecure (line 1): expected true or false");
        assert!(server_flags("zone = [\"a\"]", &[]).unwrap_err().what.contains("found a list"));
    }

    #[test]
    fn the_subcommand_stands_past_global_flags() {
        let argv = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let root = Cli::command();
        assert_eq!(subcommand_at(&root, &argv(&["seawall", "-c", "agent", "server"])), Some(3));
        assert_eq!(subcommand_at(&root, &argv(&["seawall", "--stale", "status"])), Some(2));
        assert_eq!(subcommand_at(&root, &argv(&["seawall", "--stale"])), None);
        assert_eq!(value_of(&argv(&["--config=x"]), "config"), Some("x".into()));
        assert_eq!(value_of(&argv(&["--config", "x"]), "config"), Some("x".into()));
    }

    #[test]
    fn what_follows_aws_is_not_read() {
        let words =
            ["seawall", "--timeout", "3s", "aws", "--output", "text", "ecs", "help", "--cluster", "x", "--", "-o"];
        let cli = Cli::try_parse_from(passed_through(words.iter().map(OsString::from).collect())).unwrap();
        let crate::args::Command::Aws { arguments } = cli.command else { panic!("{cli:?}") };
        assert_eq!(arguments, words[4..]);
        assert_eq!(cli.global.cluster, seawall_model::DEFAULT_CLUSTER);
        assert_eq!(cli.global.timeout, Some(std::time::Duration::from_secs(3)));
        for others in [["seawall", "logs", "aws"], ["seawall", "aws", "--help"]] {
            let others = others.map(OsString::from).to_vec();
            assert_eq!(passed_through(others.clone()), others);
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
