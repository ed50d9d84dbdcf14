use seawall_model::ErrorCode;
use serde_json::{Value, json};

use crate::testing::{TestCluster, ids_of};

fn list(cluster: &mut TestCluster, filter: Value) -> Vec<String> {
    let answer = cluster.must("ListTaskDefinitions", filter);
    let arns = answer["taskDefinitionArns"].as_array().cloned().unwrap_or_default();
    arns.iter().map(|arn| arn.as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
}

#[test]
fn revisions_count_up_and_are_never_used_again() {
    let mut cluster = TestCluster::new();
    assert_eq!(cluster.register("web", 1, 10), "web:1");
    assert_eq!(cluster.register("web", 2, 10), "web:2");
    let gone = cluster.must("DeregisterTaskDefinition", json!({"taskDefinition": "web:2"}));
    assert_eq!(gone["taskDefinition"]["status"], "INACTIVE");
    assert_eq!(cluster.register("web", 3, 10), "web:3");
    let newest = cluster.must("DescribeTaskDefinition", json!({"taskDefinition": "web"}));
    assert_eq!(newest["taskDefinition"]["revision"], 3);
    cluster.must("DeregisterTaskDefinition", json!({"taskDefinition": "web:3"}));
    let newest = cluster.must("DescribeTaskDefinition", json!({"taskDefinition": "web"}));
    assert_eq!(newest["taskDefinition"]["revision"], 1, "a family is its newest ACTIVE revision");
    let inactive = cluster.must("DescribeTaskDefinition", json!({"taskDefinition": "web:2"}));
    assert_eq!(inactive["taskDefinition"]["status"], "INACTIVE", "it stays describable");
}

#[test]
fn unknown_ones_are_refused() {
    let mut cluster = TestCluster::new();
    cluster.register("web", 1, 10);
    for text in ["nope", "web:7", "arn:aws:ecs:us-local-1:000000000000:task-definition/web:7"] {
        let error = cluster.refused("DescribeTaskDefinition", json!({"taskDefinition": text}));
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::Client, "Unable to describe task definition."));
    }
    let error = cluster.refused("DescribeTaskDefinition", json!({"taskDefinition": "web:x"}));
    assert_eq!(error.message, "Invalid revision number. Number: x");
    let error = cluster.refused("DeregisterTaskDefinition", json!({"taskDefinition": "web"}));
    assert!(error.message.contains("names no revision"), "{error}");
    let cluster_arn = "arn:aws:ecs:us-local-1:000000000000:cluster/default";
    let error = cluster.refused("DescribeTaskDefinition", json!({"taskDefinition": cluster_arn}));
    assert!(error.message.contains("is not a task definition"), "{error}");
}

#[test]
fn lists_are_filtered_and_sorted() {
    let mut cluster = TestCluster::new();
    for family in ["web", "web", "web2", "job"] {
        cluster.register(family, 1, 10);
    }
    cluster.must("DeregisterTaskDefinition", json!({"taskDefinition": "web:1"}));
    assert_eq!(list(&mut cluster, json!({})), ["job:1", "web:2", "web2:1"]);
    assert_eq!(list(&mut cluster, json!({"sort": "DESC"})), ["web2:1", "web:2", "job:1"]);
    assert_eq!(list(&mut cluster, json!({"familyPrefix": "web"})), ["web:2"], "a whole family here, as in ECS");
    assert_eq!(list(&mut cluster, json!({"familyPrefix": "web", "status": "INACTIVE"})), ["web:1"]);
    cluster.must("DeregisterTaskDefinition", json!({"taskDefinition": "job:1"}));
    let families =
        |cluster: &mut TestCluster, filter| cluster.must("ListTaskDefinitionFamilies", filter)["families"].clone();
    assert_eq!(families(&mut cluster, json!({})), json!(["job", "web", "web2"]));
    assert_eq!(families(&mut cluster, json!({"status": "ACTIVE"})), json!(["web", "web2"]));
    assert_eq!(families(&mut cluster, json!({"status": "INACTIVE"})), json!(["job"]));
    assert_eq!(families(&mut cluster, json!({"familyPrefix": "we"})), json!(["web", "web2"]));
}

#[test]
fn a_deleted_revision_leaves_once_no_task_names_it_and_its_number_stays_used() {
    let mut cluster = TestCluster::new();
    cluster.instance("i-1", "a");
    cluster.register("web", 100, 100);
    let tasks = ids_of(&cluster.must("RunTask", json!({"taskDefinition": "web"})));
    let answer = cluster.must("DeleteTaskDefinitions", json!({"taskDefinitions": ["web:1", "web:7"]}));
    assert_eq!(answer["failures"][0]["reason"], "TASK_DEFINITION_ACTIVE");
    assert_eq!(answer["failures"][1]["reason"], "TASK_DEFINITION_NOT_FOUND");
    cluster.must("DeregisterTaskDefinition", json!({"taskDefinition": "web:1"}));
    let answer = cluster.must("DeleteTaskDefinitions", json!({"taskDefinitions": ["web:1"]}));
    assert_eq!(answer["taskDefinitions"][0]["status"], "DELETE_IN_PROGRESS");
    // A task of it is still known, also after it has stopped.
    cluster.runs(tasks[0]);
    cluster.ends(tasks[0], 0);
    cluster.register("other", 1, 10);
    let described = cluster.must("DescribeTaskDefinition", json!({"taskDefinition": "web:1"}));
    assert_eq!(described["taskDefinition"]["status"], "DELETE_IN_PROGRESS");

    cluster.must("DeregisterTaskDefinition", json!({"taskDefinition": "other:1"}));
    cluster.must("DeleteTaskDefinitions", json!({"taskDefinitions": ["other:1"]}));
    assert_eq!(cluster.register("other", 1, 10), "other:2");
    let gone = cluster.refused("DescribeTaskDefinition", json!({"taskDefinition": "other:1"}));
    assert_eq!(gone.message, "Unable to describe task definition.");
}

#[test]
fn an_operator_may_have_a_refused_member_stored() {
    let mut cluster = TestCluster::new();
    let input = json!({"family": "web", "containerDefinitions": [
        {"name": "main", "image": "busybox", "memory": 64, "secrets": [{"name": "A", "valueFrom": "arn:of:a"}]}]});
    assert_eq!(cluster.refused("RegisterTaskDefinition", input.clone()).code, ErrorCode::UnsupportedFeature);
    cluster.accept_inert = vec!["secrets".into()];
    let answer = cluster.must("RegisterTaskDefinition", input);
    let container = &answer["taskDefinition"]["containerDefinitions"][0];
    assert_eq!(container["secrets"], json!([{"name": "A", "valueFrom": "arn:of:a"}]));
}
