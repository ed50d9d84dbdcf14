//! Runs scenarios with many seeds: `cargo run -p seawall-sim -- [--scenario NAME] [--seeds N] [--seed N]`.

use std::process::ExitCode;

use seawall_sim::scenarios::{self, Scenario};

const USAGE: &str = "usage: seawall-sim [--scenario NAME] [--seeds N | --seed N] [--list]";

/// What was asked for.
struct Asked {
    scenarios: Vec<&'static Scenario>,
    seeds: std::ops::RangeInclusive<u64>,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match parse(std::env::args().skip(1)) {
        Ok(Some(asked)) => run(&asked),
        Ok(None) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Asked>, String> {
    let mut asked = Asked { scenarios: scenarios::ALL.iter().collect(), seeds: 1..=1 };
    while let Some(flag) = args.next() {
        let mut value = || args.next().ok_or(format!("{flag} needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("{flag} {text}: not a number"));
        match flag.as_str() {
            "--list" => {
                scenarios::ALL.iter().for_each(|scenario| println!("{}", scenario.name));
                return Ok(None);
            }
            "--scenario" => {
                let name = value()?;
                asked.scenarios = vec![scenarios::named(&name).ok_or(format!("no scenario is called {name}"))?];
            }
            "--seeds" => asked.seeds = 1..=number(value()?)?,
            "--seed" => {
                let seed = number(value()?)?;
                asked.seeds = seed..=seed;
            }
            _ => return Err(format!("unknown flag {flag}")),
        }
    }
    Ok(Some(asked))
}

/// All of them, also after one that fails.
fn run(asked: &Asked) -> ExitCode {
    let mut failed = Vec::new();
    for scenario in &asked.scenarios {
        for seed in asked.seeds.clone() {
            let ended = std::panic::catch_unwind(|| scenarios::run(scenario, seed));
            if ended.is_err() {
                failed.push(format!("{} --seed {seed}", scenario.name));
            }
        }
        println!("{}: {} seeds", scenario.name, asked.seeds.clone().count());
    }
    failed.iter().for_each(|run| println!("FAILED --scenario {run}"));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
