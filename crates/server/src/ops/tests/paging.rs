//! Every list, page by page: everything once, whatever the size of the pages, and a token only for the list it came from.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::testing::TestCluster;

const ITEMS: usize = 7;

fn filled() -> TestCluster {
    let mut cluster = TestCluster::new();
    for n in 0..ITEMS {
        cluster.instance(&format!("i-{n}"), "a");
        cluster.register(&format!("family-{n}"), 10, 10);
        cluster.must("CreateCluster", json!({"clusterName": format!("c-{n}")}));
        let name = format!("service-{n}");
        cluster.must("CreateService", json!({"serviceName": name, "taskDefinition": "family-0", "desiredCount": 0}));
    }
    cluster.must("RunTask", json!({"taskDefinition": "family-0", "count": ITEMS}));
    cluster
}

/// Lists with their member, and how many items each has.
fn lists() -> Vec<(&'static str, &'static str, Value, usize)> {
    vec![
        ("ListClusters", "clusterArns", json!({}), ITEMS + 1),
        ("ListContainerInstances", "containerInstanceArns", json!({}), ITEMS),
        ("ListContainerInstances", "containerInstanceArns", json!({"filter": "ec2InstanceId != i-3"}), ITEMS - 1),
        ("ListTaskDefinitions", "taskDefinitionArns", json!({}), ITEMS),
        ("ListTaskDefinitions", "taskDefinitionArns", json!({"sort": "DESC"}), ITEMS),
        ("ListTaskDefinitionFamilies", "families", json!({}), ITEMS),
        ("ListTasks", "taskArns", json!({}), ITEMS),
        ("ListServices", "serviceArns", json!({}), ITEMS),
        // Of each instance its zone and its architecture.
        ("ListAttributes", "attributes", json!({"targetType": "container-instance"}), 2 * ITEMS),
    ]
}

#[test]
fn everything_comes_once_with_pages_of_any_size() {
    let mut cluster = filled();
    for (operation, member, filter, count) in lists() {
        for size in [1, 2, 3, 7, 100] {
            let (mut all, mut token) = (Vec::new(), Value::Null);
            for _ in 0..=count {
                let mut input = filter.clone();
                input["maxResults"] = size.into();
                input["nextToken"] = token;
                let answer = cluster.must(operation, input);
                let page = answer[member].as_array().cloned().unwrap_or_default();
                assert!(page.len() <= size, "{operation}");
                all.extend(page.iter().map(Value::to_string));
                token = answer["nextToken"].clone();
                if token.is_null() {
                    break;
                }
            }
            let distinct: BTreeSet<&String> = all.iter().collect();
            assert_eq!((all.len(), distinct.len()), (count, count), "{operation} by {size}");
        }
    }
}

#[test]
fn a_token_belongs_to_its_list_and_filters() {
    let mut cluster = filled();
    for (operation, _, filter, _) in lists() {
        let mut input = filter.clone();
        input["maxResults"] = 1.into();
        let token = cluster.must(operation, input)["nextToken"].clone();
        let refused = |cluster: &mut TestCluster, operation: &str, mut input: Value| {
            input["nextToken"] = token.clone();
            cluster.refused(operation, input).message
        };
        let (other, filter) =
            if operation == "ListClusters" { ("ListTasks", json!({})) } else { ("ListClusters", json!({})) };
        let text = refused(&mut cluster, other, filter);
        assert!(text.starts_with("Invalid token"), "{operation}: {text}");
        if operation == "ListTasks" {
            assert!(refused(&mut cluster, "ListTasks", json!({"family": "family-0"})).starts_with("Invalid token"));
        }
        if operation == "ListContainerInstances" {
            let another = json!({"filter": "ec2InstanceId != i-4"});
            assert!(refused(&mut cluster, operation, another).starts_with("Invalid token"));
        }
    }
    let error = cluster.refused("ListTasks", json!({"maxResults": 101}));
    assert!(error.message.contains("100"), "{error}");
}

#[test]
fn what_comes_and_goes_between_two_pages_repeats_nothing() {
    let mut cluster = filled();
    let first = cluster.must("ListServices", json!({"maxResults": 3}));
    cluster.must("DeleteService", json!({"service": "service-1"}));
    cluster.must("DeleteService", json!({"service": "service-2"}));
    cluster
        .must("CreateService", json!({"serviceName": "service-00", "taskDefinition": "family-0", "desiredCount": 0}));
    let rest = cluster.must("ListServices", json!({"nextToken": first["nextToken"]}));
    let names: Vec<&str> = rest["serviceArns"].as_array().unwrap().iter().map(|arn| arn.as_str().unwrap()).collect();
    let names: Vec<&str> = names.iter().map(|arn| arn.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["service-3", "service-4", "service-5", "service-6"]);
}

#[test]
fn services_come_in_tens_and_others_in_hundreds() {
    let mut cluster = TestCluster::new();
    cluster.register("web", 10, 10);
    for n in 0..105 {
        cluster.must(
            "CreateService",
            json!({"serviceName": format!("s-{n:03}"), "taskDefinition": "web", "desiredCount": 0}),
        );
        cluster.must("CreateCluster", json!({"clusterName": format!("c-{n:03}")}));
    }
    let count = |answer: &Value, member: &str| answer[member].as_array().unwrap().len();
    assert_eq!(count(&cluster.must("ListServices", json!({})), "serviceArns"), 10);
    assert_eq!(count(&cluster.must("ListServices", json!({"maxResults": 100})), "serviceArns"), 100);
    assert_eq!(count(&cluster.must("ListClusters", json!({})), "clusterArns"), 100);
}
