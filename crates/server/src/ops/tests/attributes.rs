use seawall_model::ErrorCode;
use serde_json::{Value, json};

use crate::testing::TestCluster;

fn list(cluster: &mut TestCluster, name: &str) -> Vec<Value> {
    let answer = cluster.must("ListAttributes", json!({"targetType": "container-instance", "attributeName": name}));
    answer["attributes"].as_array().cloned().unwrap_or_default()
}

#[test]
fn custom_attributes_come_and_go() {
    let mut cluster = TestCluster::new();
    let id = cluster.instance("i-1", "a");
    let arn = cluster.instance_arn(id);
    let attribute = json!({"name": "stack", "value": "production", "targetId": arn});
    let put = cluster.must("PutAttributes", json!({"attributes": [attribute]}));
    assert_eq!(put["attributes"][0], attribute);
    assert_eq!(list(&mut cluster, "stack"), std::slice::from_ref(&attribute));
    let by_value = json!({"targetType": "container-instance", "attributeName": "stack", "attributeValue": "other"});
    assert!(cluster.must("ListAttributes", by_value).get("attributes").is_none());
    cluster.must("DeleteAttributes", json!({"attributes": [attribute]}));
    assert!(list(&mut cluster, "stack").is_empty());
    assert_eq!(list(&mut cluster, "ecs.cpu-architecture").len(), 1, "the agent's own stay");
}

#[test]
fn bad_attributes_are_refused() {
    let mut cluster = TestCluster::new();
    let id = cluster.instance("i-1", "a");
    let arn = cluster.instance_arn(id);
    let refused = |cluster: &mut TestCluster, attribute: Value| {
        let error = cluster.refused("PutAttributes", json!({"attributes": [attribute]}));
        (error.code, error.message)
    };
    for (name, value) in [("a b", "x"), ("a", "x|y"), ("a", " x"), ("", "x")] {
        let (code, text) = refused(&mut cluster, json!({"name": name, "value": value, "targetId": arn}));
        assert_eq!(code, ErrorCode::InvalidParameter, "{text}");
    }
    let missing = json!({"name": "a", "targetId": "0123456789abcdef0123456789abcdef"});
    assert_eq!(refused(&mut cluster, missing).0, ErrorCode::TargetNotFound);
    assert!(refused(&mut cluster, json!({"name": "a"})).1.contains("no targetId"));
    let many: Vec<Value> = (0..11).map(|n| json!({"name": format!("a{n}"), "targetId": arn})).collect();
    let error = cluster.refused("PutAttributes", json!({"attributes": many}));
    assert!(error.message.contains("10"), "{error}");
    for n in 0..10 {
        cluster
            .must("PutAttributes", json!({"attributes": [{"name": format!("a{n}"), "value": "x", "targetId": arn}]}));
    }
    let error = cluster.refused("PutAttributes", json!({"attributes": [{"name": "one-more", "targetId": arn}]}));
    assert_eq!(error.code, ErrorCode::AttributeLimitExceeded, "{error}");
    let value = json!({"targetType": "container-instance", "attributeValue": "x"});
    assert!(cluster.refused("ListAttributes", value).message.contains("needs attributeName"));
}
