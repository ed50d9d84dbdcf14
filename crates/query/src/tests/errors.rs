//! What is refused, where, and in which words.

use crate::{EXPRESSION_CHARS_MAX, Expression, LIST_ITEMS_MAX, NESTING_MAX, PATTERNS_MAX};

fn refusal(text: &str) -> String {
    match Expression::parse(text) {
        Ok(expression) => panic!("{text} is read as {expression}"),
        Err(error) => error.to_string(),
    }
}

fn says(text: &str, position: usize, message: &str) {
    assert_eq!(refusal(text), format!("Invalid expression at position {position}: {message}"), "{text}");
}

#[test]
fn what_is_missing_is_named_with_its_place() {
    let condition = "expected a condition such as attribute:ecs.os-type == linux, found";
    says("", 0, &format!("{condition} the end"));
    says("  ", 2, &format!("{condition} the end"));
    says("attribute:rank ==", 17, "expected a value after '==', found the end");
    says("attribute:rank equals ", 22, "expected a value after '==', found the end");
    says("attribute:rank", 14, "expected an operator such as ==, !=, in or =~, found the end");
    says("attribute: == a", 10, "expected the name of an attribute: 1 to 128 letters, digits and _ - . / \\");
    says("agentConnected == true and", 26, &format!("{condition} the end"));
    says("attribute:é == a", 10, "expected the name of an attribute: 1 to 128 letters, digits and _ - . / \\");
    says("attribute:a in us-east-1a", 15, "expected a list such as [a, b] after 'in', found 'us-east-1a'");
    says("attribute:a in [a, b", 20, "expected ',' or ']' in the list, found the end");
    says("attribute:a in []", 16, "expected a value after 'in', found ']'");
    says("attribute:a in [a b]", 18, "expected ',' or ']' in the list, found 'b]'");
    says("attribute:a == 'b", 15, "this ' is never closed");
    says("(attribute:a == b", 17, "expected 'and' (&&), 'or' (||) or the ')' of position 0, found the end");
    says("attribute:a == b)", 16, "expected 'and' (&&), 'or' (||) or the end, found ')'");
    says("attribute:a == b attribute:c == d", 17, "expected 'and' (&&), 'or' (||) or the end, found 'attribute:c'");
    says("attribute:a == b & attribute:c == d", 17, "expected 'and' (&&), 'or' (||) or the end, found '&'");
    let word = "expected a value after '==' (the word itself stands in quotes), found 'and'";
    says("attribute:a == and attribute:b == c", 15, word);
}

#[test]
fn a_place_is_counted_in_characters() {
    says("attribute:a == 'é' ?", 19, "expected 'and' (&&), 'or' (||) or the end, found '?'");
}

#[test]
fn a_wrong_name_brings_the_nearest() {
    says(
        "runningTaskCount == 1",
        0,
        "unknown subject 'runningTaskCount'; did you mean 'runningTasksCount'? An attribute is written \
         attribute:runningTaskCount",
    );
    says(
        "agentConnected == true and ecs.instance-type == t2.small",
        27,
        "unknown subject 'ecs.instance-type'; did you mean 'ec2InstanceId'? An attribute is written \
         attribute:ecs.instance-type",
    );
    assert!(refusal("attr:stack == a").contains("is written attribute:stack"));
    let expected = "expected an operator such as ==, !=, in or =~, found";
    says("attribute:a equal b", 12, &format!("{expected} 'equal'; did you mean 'equals'?"));
    says("attribute:a = b", 12, &format!("{expected} '='; did you mean '=='?"));
    says("attribute:a !exist", 12, &format!("{expected} '!exist'"));
    says("attribute:a into [b]", 12, &format!("{expected} 'into'; did you mean 'in'?"));
}

#[test]
fn a_subject_takes_its_own_operators_and_values() {
    let orders = "does not go with this subject, which takes ==, !=, >=, >, <=, <";
    says("runningTasksCount in [1]", 18, &format!("'in' {orders}"));
    says("registeredAt =~ 2018.*", 13, &format!("'=~' {orders}"));
    says("agentVersion exists", 13, &format!("'exists' {orders}"));
    let texts = "does not go with this subject, which takes ==, !=, in, !in, =~, !~";
    says("agentConnected exists", 15, &format!("'exists' {texts}"));
    says("ec2InstanceId greater_than i-1", 14, &format!("'>' {texts}"));
    let groups = "does not go with this subject, which takes ==, !=, exists, !exists, in, !in, =~, !~";
    says("task:group < a", 11, &format!("'<' {groups}"));
    says("runningTasksCount == -1", 21, "expected a count of tasks, found '-1'");
    says("runningTasksCount == 99999999999", 21, "expected a count of tasks, found '99999999999'");
    says("agentConnected == 'yes'", 19, "expected true or false, found 'yes'");
    says("agentConnected in [true, 1]", 25, "expected true or false, found '1'");
    says("agentVersion < latest", 15, "expected a version such as 1.14.5, found 'latest'");
    let date = "expected a date such as 2018-06-18 or 2018-06-18T22:28:28Z, found";
    for wrong in [
        "yesterday",
        "2018-13-01",
        "2018-06-18T25:00:00",
        "20180618T000000",
        "2018-06-18+02:00",
        "18-06-2018",
        "0000-01-01T00:00:00+02:00",
    ] {
        says(&format!("registeredAt < {wrong}"), 15, &format!("{date} '{wrong}'"));
    }
}

#[test]
fn patterns_of_java_alone_are_refused_where_they_stand() {
    says("attribute:a =~ (a)", 15, "a pattern with parentheses must stand in quotes");
    says("attribute:a =~ t(2|3)", 16, "a pattern with parentheses must stand in quotes");
    says("attribute:a =~ '(a)\\1'", 19, "backreferences of Java's patterns are not supported");
    says("attribute:a =~ '(?!a)b'", 16, "lookahead and lookbehind of Java's patterns are not supported");
    says("attribute:a =~ 'b(?<=a)'", 17, "lookahead and lookbehind of Java's patterns are not supported");
    says("attribute:a =~ a*+", 17, "possessive quantifiers of Java's patterns are not supported");
    says("attribute:a =~ '(?>a)'", 18, "the pattern has a flag or a kind of group that is not supported");
    says("attribute:a =~ \\Qa\\E", 15, "the pattern has an escape that is not supported");
    assert!(
        refusal("attribute:a =~ '(a'").starts_with("Invalid expression at position 16: the pattern is wrong here:")
    );
    assert!(refusal("attribute:a =~ *").starts_with("Invalid expression at position 15: the pattern is wrong here:"));
    says("attribute:a =~ '(\\w{100}){100}'", 16, "the pattern takes more than 262144 bytes once compiled");
}

#[test]
fn everything_has_a_limit() {
    let long = format!("attribute:a == {}", "é".repeat(EXPRESSION_CHARS_MAX - 15));
    assert!(Expression::parse(&long).is_ok());
    says(&format!("{long}b"), EXPRESSION_CHARS_MAX, "an expression has at most 2000 characters; this one has 2001");
    let nested = |depth: usize| format!("{}attribute:a exists{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Expression::parse(&nested(NESTING_MAX)).is_ok());
    says(&nested(NESTING_MAX + 1), NESTING_MAX, "parentheses are nested more than 32 deep");
    let beside = vec!["(attribute:a exists)"; NESTING_MAX + 1].join(" and ");
    assert!(Expression::parse(&beside).is_ok());
    let list = |items: usize| format!("attribute:a in [{}]", vec!["b"; items].join(","));
    assert!(Expression::parse(&list(LIST_ITEMS_MAX)).is_ok());
    says(&list(LIST_ITEMS_MAX + 1), 15 + 2 * LIST_ITEMS_MAX, "a list has at most 256 values");
    let patterns = |count: usize| vec!["attribute:a =~ b"; count].join(" or ");
    assert!(Expression::parse(&patterns(PATTERNS_MAX)).is_ok());
    says(&patterns(PATTERNS_MAX + 1), 20 * PATTERNS_MAX + 15, "an expression has at most 16 patterns");
    assert!(refusal(&format!("attribute:{} exists", "a".repeat(129))).contains("1 to 128 letters"));
    let deep = format!("attribute:a =~ '{}a{}'", "(".repeat(40), ")".repeat(40));
    assert!(refusal(&deep).ends_with("groups of a pattern are nested more than 32 deep"));
    assert!(Expression::parse(&format!("{}attribute:a exists", "!".repeat(1900))).is_ok());
}
