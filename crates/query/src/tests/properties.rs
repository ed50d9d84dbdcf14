//! What holds for every expression, and for every text that may be none.

use proptest::{prelude::*, sample::select};

use super::{Instance, REGISTERED_AT_MS, parsed};
use crate::Expression;

/// A value as it may be written: bare where it can be, in quotes otherwise.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec!["a", "b", "service:web", "10", "9.5", "t2.small", "or-not"]).prop_map(str::to_owned),
        "[ -&(-~é]{0,8}".prop_map(|text| format!("'{text}'")),
        "[ !#-~é]{0,8}".prop_map(|text| format!("\"{text}\"")),
    ]
}

fn list() -> impl Strategy<Value = String> {
    prop::collection::vec(value(), 1..4).prop_map(|items| format!("[{}]", items.join(" ,")))
}

fn pattern() -> impl Strategy<Value = String> {
    select(vec!["a", ".*", "t[0-9]{1,2}", "'(a|b) c'", "\"it's?\"", "a|b", "'(?i)A'", "\\d+", "''"])
        .prop_map(str::to_owned)
}

fn order() -> impl Strategy<Value = &'static str> {
    select(vec!["==", "!=", ">", "<", ">=", "<=", " less_than ", " greater_than_equal "])
}

fn text_test() -> impl Strategy<Value = String> {
    prop_oneof![
        (select(vec!["==", " equals ", "!=", " not_equals "]), value()).prop_map(|(op, value)| format!("{op}{value}")),
        (select(vec![" in", "!in", " NOT_IN "]), list()).prop_map(|(op, list)| format!("{op}{list}")),
        (select(vec!["=~", "!~", " matches "]), pattern()).prop_map(|(op, pattern)| format!("{op} {pattern}")),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    let attribute = prop_oneof![
        text_test(),
        select(vec![" exists", "!exists"]).prop_map(str::to_owned),
        (order(), value()).prop_map(|(op, value)| format!("{op} {value}")),
    ];
    let date = select(vec!["2018-06-18", "2018-06-18T22:28:28", "2018-06-19T00:28:28.25+02:00", "0000-01-01"]);
    prop_oneof![
        4 => (select(vec!["a", "ecs.os-type", "x/y\\z"]), attribute).prop_map(|(n, t)| format!("attribute:{n} {t}")),
        2 => text_test().prop_map(|test| format!("task:group{test}")),
        1 => text_test().prop_map(|test| format!("ec2InstanceId{test}")),
        1 => any::<bool>().prop_map(|connected| format!("agentConnected=={connected}")),
        1 => (order(), select(vec!["1", "1.14", "1.14.5-rc.1"])).prop_map(|(op, v)| format!("agentVersion{op}{v}")),
        1 => (order(), date).prop_map(|(op, date)| format!("registeredAt{op}{date}")),
        1 => (order(), 0u32..4).prop_map(|(op, count)| format!("runningTasksCount{op}{count}")),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    condition().prop_recursive(5, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|e| format!("({e})")),
            (select(vec!["!", "not ", "! !"]), inner.clone()).prop_map(|(not, e)| format!("{not}({e})")),
            (inner.clone(), select(vec![" and ", "&&", " or ", "||"]), inner).prop_map(|(a, op, b)| a + op + &b),
        ]
    })
}

fn instance() -> impl Strategy<Value = Instance> {
    let text = || select(vec!["", "a", "b c", "10", "t2", "service:web"]).prop_map(str::to_owned);
    let name = select(vec!["a", "ecs.os-type", "x/y\\z"]).prop_map(str::to_owned);
    (
        prop::collection::btree_map(name, text(), 0..3),
        prop::collection::vec(text(), 0..3),
        any::<bool>(),
        select(vec!["", "1.14.5", "0.1.0-rc.1", "dirty"]),
        text(),
        -1i64..=1,
        0u32..4,
    )
        .prop_map(|(attributes, groups, connected, version, id, offset_ms, running)| Instance {
            attributes,
            groups,
            connected,
            version: version.to_owned(),
            id,
            registered_at_ms: REGISTERED_AT_MS + offset_ms,
            running,
        })
}

/// Texts that are nearly expressions.
fn rubbish() -> impl Strategy<Value = String> {
    let words = "attribute: a ecs.x task:group ec2InstanceId agentVersion registeredAt == != < in !in exists !exists =~ ! \
                 not and or && || ( ) [ ] , ' \" 1.2 2018-06-18 .* é";
    prop::collection::vec((select(words.split_ascii_whitespace().collect::<Vec<_>>()), any::<bool>()), 0..24)
        .prop_map(|words| words.iter().map(|(word, space)| word.to_string() + if *space { " " } else { "" }).collect())
}

proptest! {
    #[test]
    fn the_canonical_form_reads_as_the_same(text in expression()) {
        let expression = parsed(&text);
        let canonical = expression.to_string();
        prop_assert_eq!(&parsed(&canonical), &expression, "{} is {}", text, canonical);
        prop_assert_eq!(parsed(&canonical).to_string(), canonical);
    }

    #[test]
    fn a_negation_says_the_contrary(text in expression(), of in instance()) {
        let holds = parsed(&text).matches(&of);
        prop_assert_eq!(parsed(&format!("not({text})")).matches(&of), !holds);
        prop_assert_eq!(parsed(&format!("({text}) and !({text})")).matches(&of), false);
        prop_assert_eq!(parsed(&parsed(&text).to_string()).matches(&of), holds);
    }

    #[test]
    fn and_and_or_are_those_of_their_parts(a in expression(), b in expression(), of in instance()) {
        let (left, right) = (parsed(&a).matches(&of), parsed(&b).matches(&of));
        prop_assert_eq!(parsed(&format!("({a}) and ({b})")).matches(&of), left && right);
        prop_assert_eq!(parsed(&format!("({a}) or ({b})")).matches(&of), left || right);
    }

    #[test]
    fn no_text_panics(text in prop_oneof![rubbish(), "\\PC{0,40}", any::<String>()], of in instance()) {
        match Expression::parse(&text) {
            Ok(expression) => {
                expression.matches(&of);
                prop_assert_eq!(parsed(&expression.to_string()), expression);
            }
            Err(error) => prop_assert!(error.position <= text.chars().count(), "{}", error),
        }
    }
}
