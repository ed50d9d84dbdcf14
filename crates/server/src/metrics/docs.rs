//! The table of docs/metrics.md is made from a page, so that it lists every metric and no other.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
};

use serde_json::json;

use super::{
    WriteLimit,
    page::text,
    process::Process,
    tests::{Sample, samples},
};
use crate::testing::OneMember;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
/// Set, it writes the table anew.
const REWRITE: &str = "SEAWALL_REWRITE_DOCS";
/// Before the table's lines, which are the end of the document.
const HEADER: &str = "| Metric | Kind | Labels | |\n|---|---|---|---|\n";

/// A page with every metric on it: those with labels appear once they are used.
fn full_page() -> String {
    let one = OneMember::new(1);
    one.connect("i-1");
    one.register_web();
    one.provider("big");
    one.must("RunTask", &json!({"taskDefinition": "web", "referenceId": "mine", "novelty": null}));
    one.node.metrics.refused(WriteLimit::Writes);
    text(&one.node, Process { resident_bytes: Some(1), open_fds: Some(1) }).unwrap()
}

/// The table's lines, by name.
fn rows(page: &str) -> Vec<String> {
    let samples = samples(page);
    let comments = |what: &str| -> BTreeMap<String, String> {
        let lines = page.lines().filter_map(|line| line.strip_prefix(what)?.split_once(' '));
        lines.map(|(name, text)| (name.into(), text.into())).collect()
    };
    let (helps, kinds) = (comments("# HELP "), comments("# TYPE "));
    assert_eq!(helps.keys().collect::<Vec<_>>(), kinds.keys().collect::<Vec<_>>());
    let row = |(name, kind): (&String, &String)| {
        format!("| `{name}` | {kind} | {} | {} |", labels(name, &samples), helps[name].trim_end_matches('.'))
    };
    kinds.iter().map(row).collect()
}

fn labels(name: &str, samples: &[Sample]) -> String {
    let of = |sample: &&Sample| {
        let rest = sample.name.strip_prefix(name);
        rest.is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
    };
    let names: BTreeSet<&str> = samples.iter().filter(of).flat_map(|s| s.labels.keys().map(String::as_str)).collect();
    names.into_iter().filter(|label| *label != "le").collect::<Vec<_>>().join(", ")
}

#[test]
fn the_metrics_page_lists_every_metric() {
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let (words, table) = document.split_once(HEADER).expect("docs/metrics.md has the table's header");
    let wanted: String = rows(&full_page()).iter().flat_map(|row| [row.as_str(), "\n"]).collect();
    if env::var_os(REWRITE).is_some() {
        fs::write(DOCUMENT, format!("{words}{HEADER}{wanted}")).unwrap();
        return;
    }
    assert!(table == wanted, "docs/metrics.md differs from the metrics: run this test with {REWRITE}=1");
}
