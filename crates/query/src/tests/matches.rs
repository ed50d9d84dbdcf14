//! What expressions mean. Each is also written in the canonical form, read again, and negated.

use super::{Instance, instance, parsed};

fn check(instance: &Instance, text: &str, expected: bool) {
    let expression = parsed(text);
    assert_eq!(expression.matches(instance), expected, "{text}");
    assert_eq!(parsed(&expression.to_string()), expression, "{text}");
    assert_eq!(parsed(&format!("!({text})")).matches(instance), !expected, "not {text}");
}

fn hold(texts: &[&str]) {
    texts.iter().for_each(|text| check(&instance(), text, true));
}

fn hold_not(texts: &[&str]) {
    texts.iter().for_each(|text| check(&instance(), text, false));
}

#[test]
fn the_examples_of_the_guide() {
    hold(&[
        "attribute:ecs.availability-zone in [us-east-1a, us-east-1b]",
        "attribute:ecs.instance-type =~ g2.* and attribute:ecs.availability-zone != us-east-1d",
        "task:group == service:production",
        "not(task:group == database)",
        "ec2InstanceId in ['i-abcd1234', 'i-wxyx7890']",
        "attribute:ecs.instance-type == g2.2xlarge",
        "attribute:stack != prod",
        "(attribute:stack == x or attribute:rank == 10) and agentConnected == true",
    ]);
    hold_not(&[
        "attribute:ecs.instance-type == t2.small",
        "runningTasksCount == 1",
        "agentVersion < 1.14.5",
        "registeredAt < 2018-02-13",
        "attribute:stack == prod",
        "attribute:ecs.instance-type in [t2.small, t2.medium]",
        "attribute:ecs.instance-type =~ t2.* and attribute:ecs.availability-zone == us-east-1a",
        "task:group == databases",
    ]);
}

#[test]
fn what_people_write() {
    hold(&[
        "agentConnected==true",
        "ec2InstanceId in ['i-abcd1234'] and agentConnected==true",
        "ec2InstanceId == i-abcd1234",
        "attribute:ecs.os-type==linux",
        "runningTasksCount<4",
        "attribute:lock == OPEN or attribute:lock not_exists",
        "attribute:ecs.instance-type matches g2.*",
        "task:group in [service:other,service:production]",
        "task:group != service:telegraf",
        "(\n  attribute:ecs.instance-type == t2.small or\n  attribute:ecs.os-type == linux and\n  attribute:rank != 9\n)",
        "agentVersion < 1.15.0 AND attribute:rank == 10",
    ]);
}

#[test]
fn every_operator_has_a_word() {
    hold(&[
        "attribute:rank equals 10",
        "attribute:rank not_equals 11",
        "attribute:rank greater_than 9",
        "attribute:rank greater_than_equal 10",
        "attribute:rank less_than 11",
        "attribute:rank less_than_equal 10",
        "attribute:rank exists",
        "attribute:none not_exists",
        "attribute:rank in [9, 10]",
        "attribute:rank not_in [8, 9]",
        "attribute:rank matches 1.",
        "attribute:rank not_matches 2.",
        "attribute:none !exists",
        "attribute:rank !in[8]",
        "attribute:rank!~2.",
    ]);
}

#[test]
fn or_binds_less_than_and_and_that_less_than_not() {
    let (yes, no) = ("attribute:rank == 10", "attribute:rank == 0");
    hold(&[
        &format!("{yes} || {no} && {no}"),
        &format!("{no} and {no} or {yes}"),
        &format!("not {no} or {yes} and {no}"),
        &format!("!{no}&&{yes}"),
        &format!("!!{yes}"),
        &format!("not not not {no}"),
    ]);
    hold_not(&[
        &format!("({yes} || {no}) && {no}"),
        &format!("not ({no} or {yes})"),
        &format!("not {yes} and {no}"),
        &format!("!!{no}"),
    ]);
}

#[test]
fn what_is_absent_fits_not_exists_alone() {
    hold(&["attribute:none !exists", "not(attribute:none == a)", "!attribute:none exists"]);
    hold_not(&[
        "attribute:none exists",
        "attribute:none == a",
        "attribute:none != a",
        "attribute:none in [a]",
        "attribute:none !in [a]",
        "attribute:none =~ .*",
        "attribute:none !~ a",
        "attribute:none > a",
        "attribute:none <= a",
    ]);
    // An attribute without a value is there.
    hold(&[
        "attribute:ecs.capability.privileged exists",
        "attribute:ecs.capability.privileged == ''",
        "attribute:ecs.capability.privileged != a",
    ]);
}

#[test]
fn a_subject_with_many_values_fits_by_any_of_them() {
    hold(&[
        "task:group exists",
        "task:group == family:cron",
        "task:group != service:production",
        "task:group !in [family:cron]",
        "task:group =~ service:.*",
        "task:group !~ service:.*",
    ]);
    hold_not(&["task:group == database", "task:group !in [family:cron, service:production]", "task:group =~ service:"]);
    let idle = Instance::default();
    check(&idle, "task:group !exists", true);
    check(&idle, "task:group != database", false);
    check(&idle, "not(task:group == database)", true);
    assert!(parsed("agentConnected == true or not(task:group == a)").uses_task_group());
    assert!(!parsed("attribute:group == 'task:group'").uses_task_group());
}

#[test]
fn attributes_are_compared_as_numbers_where_both_are() {
    hold(&[
        "attribute:rank > 9",
        "attribute:rank > 9.5",
        "attribute:rank >= 10.0",
        "attribute:rank > -1",
        "attribute:rank < 9a",
        "attribute:kernel < 9",
        "attribute:kernel > 5",
        "attribute:stack > blue",
    ]);
    hold_not(&["attribute:rank < 9", "attribute:rank == 10.0", "attribute:rank > 1e1", "attribute:rank < 10"]);
}

#[test]
fn versions_are_compared_by_their_numbers() {
    hold(&[
        "agentVersion == 1.14.5",
        "agentVersion > 1.9.0",
        "agentVersion > 1.14",
        "agentVersion < 2",
        "agentVersion > 1.14.5-rc.1",
        "agentVersion == 1.14.5+build",
    ]);
    hold_not(&["agentVersion != 1.14.5", "agentVersion >= 1.15.0"]);
    let unknown = Instance::default();
    check(&unknown, "agentVersion < 99.0.0", false);
    check(&unknown, "agentVersion != 1.0.0", false);
}

#[test]
fn dates_are_instants() {
    hold(&[
        "registeredAt == 2018-06-18T22:28:28",
        "registeredAt == 2018-06-18T22:28:28Z",
        "registeredAt == 2018-06-18T22:28:28+00:00",
        "registeredAt == 2018-06-19T00:28:28+02:00",
        "registeredAt < 2018-06-18T22:28:28.500Z",
        "registeredAt >= '2018-06-18'",
        "registeredAt < 2018-06-19",
    ]);
    hold_not(&["registeredAt < 2018-06-18", "registeredAt != 2018-06-18T22:28:28Z"]);
}

#[test]
fn values_are_bare_or_in_quotes() {
    hold(&[
        "attribute:stack == 'blue green'",
        "attribute:stack == \"blue green\"",
        "attribute:open == \"5' \\d (a)\"",
        "attribute:open =~ \"5' \\\\d [(]a[)]\"",
        "attribute:stack in ['blue green', red]",
        "attribute:rank =~ [0-9]{1,2}",
        "attribute:rank =~ '(1|2)0'",
        "attribute:rank =~ 10|20&&attribute:rank==10",
        "agentConnected in [TRUE]",
        "agentConnected =~ t.*",
        "attribute:stack != 'and'",
    ]);
    hold_not(&["attribute:stack == blue", "agentConnected == False", "agentConnected !~ true"]);
}

#[test]
fn a_pattern_fits_the_whole_value() {
    hold(&["attribute:stack =~ '.*green'", "attribute:stack =~ '(?x) blue \\x20 green # both'"]);
    hold_not(&["attribute:stack =~ green", "attribute:stack =~ blue", "attribute:rank =~ 1|0", "attribute:rank =~ 1"]);
}

#[test]
fn the_canonical_form_has_what_is_needed() {
    for (text, canonical) in [
        ("NOT  ( task:group==database )", "not task:group == database"),
        ("!!(attribute:a exists)", "attribute:a exists"),
        (
            "attribute:a not_in[ 'x' ,\"y z\"]&&(attribute:b =~ 't(2|3)' and attribute:c not_exists)",
            "attribute:a !in [x, 'y z'] and attribute:b =~ 't(2|3)' and attribute:c !exists",
        ),
        (
            "not(attribute:a == 1 or attribute:b >= '2') and (attribute:c == 3 or attribute:d == 'or')",
            "not(attribute:a == 1 or attribute:b >= 2) and (attribute:c == 3 or attribute:d == 'or')",
        ),
        (
            "agentVersion < 1.14 or registeredAt < 2018-02-13 or agentConnected == True or runningTasksCount == 007",
            "agentVersion < 1.14.0 or registeredAt < 2018-02-13T00:00:00Z or agentConnected == true or runningTasksCount == 7",
        ),
        ("agentVersion == 1.2.3+build", "agentVersion == 1.2.3"),
        ("attribute:a == \"it's\"", "attribute:a == \"it's\""),
    ] {
        assert_eq!(parsed(text).to_string(), canonical);
    }
}
