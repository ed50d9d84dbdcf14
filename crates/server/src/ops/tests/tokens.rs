//! A call that comes again under its token has one effect, and the same results.

use seawall_model::ErrorCode;
use serde_json::json;

use crate::testing::{TestCluster, ids_of};

fn full_cluster() -> TestCluster {
    let mut cluster = TestCluster::new();
    cluster.instance("i-1", "a");
    cluster.register("web", 400, 600);
    cluster
}

#[test]
fn a_run_task_under_its_token_gives_the_same_tasks_and_failures() {
    let mut cluster = full_cluster();
    let call = json!({"taskDefinition": "web", "count": 3, "clientToken": "t-1"});
    let first = cluster.must("RunTask", call.clone());
    assert_eq!(ids_of(&first).len(), 2);
    assert!(first["failures"][0]["detail"].as_str().unwrap().contains("has 224"));
    let again = cluster.must("RunTask", call.clone());
    assert_eq!(ids_of(&again), ids_of(&first), "there is no room for others");
    assert_eq!(again["failures"], first["failures"], "what failed then failed then");
    cluster.runs(ids_of(&first)[0]);
    let later = cluster.must("RunTask", call.clone());
    assert_eq!(later["tasks"][0]["lastStatus"], "RUNNING", "rendered as they are now");
    cluster.now_ms += 25 * 3600 * 1000;
    let expired = cluster.must("RunTask", call);
    assert_eq!(ids_of(&expired).len(), 0, "a token lives for a day: this is another call, and nothing fits");
}

#[test]
fn what_made_the_first_call_possible_may_be_gone_for_the_second() {
    let mut cluster = full_cluster();
    let call = json!({"taskDefinition": "web:1", "count": 1, "clientToken": "t-1"});
    let first = ids_of(&cluster.must("RunTask", call.clone()));
    cluster.must("DeregisterTaskDefinition", json!({"taskDefinition": "web:1"}));
    let instance = cluster.state.instance_by_ec2_id("i-1").map(|row| seawall_model::InstanceId(row.id)).unwrap();
    let arn = cluster.instance_arn(instance);
    cluster.must("UpdateContainerInstancesState", json!({"containerInstances": [arn], "status": "DRAINING"}));
    assert_eq!(ids_of(&cluster.must("RunTask", call)), first);
}

#[test]
fn another_request_under_the_same_token_conflicts() {
    let mut cluster = full_cluster();
    let first = cluster.must("RunTask", json!({"taskDefinition": "web", "count": 2, "clientToken": "t-1"}));
    let error = cluster.refused("RunTask", json!({"taskDefinition": "web", "count": 1, "clientToken": "t-1"}));
    assert_eq!(error.code, ErrorCode::Conflict);
    let arns: Vec<String> =
        first["tasks"].as_array().unwrap().iter().map(|task| task["taskArn"].as_str().unwrap().to_owned()).collect();
    assert_eq!(error.resource_ids, arns, "it says what the token made");
    let mut input = json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 0, "clientToken": "t-1"});
    cluster.must("CreateService", input.clone());
    cluster.must("CreateService", input.clone());
    input["desiredCount"] = 1.into();
    let error = cluster.refused("CreateService", input);
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::InvalidParameter, "Creation of service was not idempotent.")
    );
    for bad in ["a b", "ü", &"x".repeat(65)] {
        let error = cluster.refused("RunTask", json!({"taskDefinition": "web", "clientToken": bad}));
        assert_eq!(error.code, ErrorCode::InvalidParameter, "{error}");
    }
}

#[test]
fn a_call_that_was_refused_or_did_nothing_may_come_again() {
    let mut cluster = TestCluster::new();
    cluster.register("web", 400, 600);
    let call = json!({"taskDefinition": "web", "clientToken": "t-1"});
    cluster.refused("RunTask", call.clone());
    cluster.instance_with("i-0", "a", 100, 100);
    let nothing = cluster.must("RunTask", call.clone());
    assert!(ids_of(&nothing).is_empty());
    cluster.instance("i-1", "a");
    assert_eq!(ids_of(&cluster.must("RunTask", call)).len(), 1, "refusals are not recorded");
}
