//! docs/compatibility.md is made from the tables that the server answers by, so it cannot be wrong about them.

use std::{collections::BTreeSet, env, fmt::Write as _, fs};

use seawall_proto::{Kind, SHAPES, Shape, shape};

use crate::{ecs::unsupported::UNSUPPORTED, ops};
use seawall_rules::members::{MEMBERS, Rule, rule};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compatibility.md");
/// Set, it writes the page anew.
const REWRITE: &str = "SEAWALL_REWRITE_DOCS";
const OURS: &str = "expectedVersion";
const HEAD: &str = "\
# What of ECS this version has

Made from the tables that the server itself answers by. After a change there:
`SEAWALL_REWRITE_DOCS=1 cargo test -p seawall-server compatibility_page`.
";
const MEANINGS: &str = "
## Members

Every member of every input is one of these:

- **works**: it does what ECS says.
- **only** some values: those do what ECS says, any other is refused.
- **stored**: accepted and echoed, without effect.
- **refused**: UnsupportedFeatureException naming the member, since running without it would be wrong or unsafe. What is
  absent, null, empty, `NONE` or false is no use of a member and is taken. The members of a refused or stored structure are
  not listed.
";

/// Input shapes that a request can reach, each once, in the order of the operations: what is stored or refused as a whole is
/// not looked into.
fn reachable() -> Vec<&'static Shape> {
    let mut seen = BTreeSet::new();
    ops::REQUESTS.iter().flat_map(|request| reach(request, &mut seen)).collect()
}

fn reach(name: &str, seen: &mut BTreeSet<&'static str>) -> Vec<&'static Shape> {
    let this = shape(name).expect(name);
    if !seen.insert(this.name) {
        return Vec::new();
    }
    let below = this.members.iter().filter(|(member, _)| rule(name, member) == Rule::Works);
    let below = below.filter_map(|(_, kind)| match kind {
        Kind::Message(of) | Kind::List(Kind::Message(of)) => Some(*of),
        _ => None,
    });
    let below: Vec<&str> = below.collect();
    std::iter::once(this).chain(below.into_iter().flat_map(|of| reach(of, seen))).collect()
}

fn page() -> String {
    let mut page = format!("{HEAD}\n## Operations\n\n| Operation | |\n|---|---|\n");
    for name in ops::NAMES {
        writeln!(page, "| `{name}` | works |").unwrap();
    }
    for (names, why) in UNSUPPORTED {
        names.iter().for_each(|name| writeln!(page, "| `{name}` | unsupported: {why} |").unwrap());
    }
    page.push_str(MEANINGS);
    for shape in reachable() {
        write!(page, "\n### `{}`\n\n", shape.name).unwrap();
        let members: Vec<&str> = shape.members.iter().map(|(member, _)| *member).filter(|m| *m != OURS).collect();
        if members.is_empty() {
            page.push_str("It has no members.\n");
            continue;
        }
        page.push_str("| Member | |\n|---|---|\n");
        members.iter().for_each(|m| writeln!(page, "| `{m}` | {} |", words(rule(shape.name, m))).unwrap());
    }
    page
}

fn words(rule: Rule) -> String {
    match rule {
        Rule::Works => "works".into(),
        Rule::Stored => "stored".into(),
        Rule::Refused => "refused".into(),
        Rule::Only(values) => format!("only `{}`", values.join("`, `")),
    }
}

#[test]
fn the_compatibility_page_is_current() {
    if env::var_os(REWRITE).is_some() {
        fs::write(PAGE, page()).unwrap();
    }
    let committed = fs::read_to_string(PAGE).unwrap_or_default();
    assert!(committed == page(), "docs/compatibility.md differs from the tables: run this test with {REWRITE}=1");
}

#[test]
fn every_input_member_stands_in_the_table_once_and_nothing_else_does() {
    let reachable: BTreeSet<&str> = reachable().iter().map(|shape| shape.name).collect();
    for name in &reachable {
        for (member, _) in shape(name).unwrap().members.iter().filter(|(m, _)| *m != "expectedVersion") {
            let lines = MEMBERS.iter().filter(|(of, names, _)| of == name && names.contains(member)).count();
            assert_eq!(lines, 1, "{name}.{member}");
        }
    }
    for (name, members, _) in MEMBERS {
        assert!(reachable.contains(name), "{name} is no input shape");
        let known: Vec<&str> = shape(name).unwrap().members.iter().map(|(m, _)| *m).collect();
        assert!(members.iter().all(|m| known.contains(m)), "{name}: {members:?} against {known:?}");
    }
    assert!(SHAPES.len() > reachable.len());
}
