use seawall_model::ErrorCode;
use serde_json::{Value, json};

use crate::testing::{TestCluster, ids_of};

fn resource(instance: &Value, list: &str, name: &str) -> Value {
    let all = instance[list].as_array().cloned().unwrap_or_default();
    let found = all.into_iter().find(|resource| resource["name"] == name).unwrap_or_default();
    let value = found.get("stringSetValue").or(found.get("integerValue")).cloned();
    value.unwrap_or_default()
}

#[test]
fn an_instance_shows_what_it_has_and_what_is_left() {
    let mut cluster = TestCluster::new();
    let id = cluster.instance("i-1", "a");
    let arn = cluster.instance_arn(id);
    cluster.register("web", 400, 600);
    let task = ids_of(&cluster.must("RunTask", json!({"taskDefinition": "web"})))[0];
    let show = |cluster: &mut TestCluster| {
        cluster.must("DescribeContainerInstances", json!({"containerInstances": [arn]}))["containerInstances"][0]
            .clone()
    };
    let pending = show(&mut cluster);
    assert_eq!(
        (&pending["status"], &pending["agentConnected"], &pending["ec2InstanceId"]),
        (&json!("ACTIVE"), &json!(true), &json!("i-1"))
    );
    assert_eq!((&pending["pendingTasksCount"], &pending["runningTasksCount"]), (&json!(1), &json!(0)));
    assert_eq!(resource(&pending, "registeredResources", "CPU"), 1024);
    assert_eq!(resource(&pending, "remainingResources", "CPU"), 624);
    assert_eq!(resource(&pending, "remainingResources", "MEMORY"), 1448);
    assert_eq!(resource(&pending, "registeredResources", "PORTS"), json!(["22"]));
    cluster.runs(task);
    let running = show(&mut cluster);
    assert_eq!((&running["pendingTasksCount"], &running["runningTasksCount"]), (&json!(0), &json!(1)));
    cluster.ends(task, 0);
    assert_eq!(resource(&show(&mut cluster), "remainingResources", "CPU"), 1024);
}

#[test]
fn describe_and_list_name_what_is_missing() {
    let mut cluster = TestCluster::new();
    let id = cluster.instance("i-1", "a");
    let arn = cluster.instance_arn(id);
    let missing = "0123456789abcdef0123456789abcdef";
    let answer = cluster.must("DescribeContainerInstances", json!({"containerInstances": [arn, missing]}));
    assert_eq!(answer["containerInstances"].as_array().unwrap().len(), 1);
    assert_eq!(answer["failures"][0]["reason"], "MISSING");
    let error = cluster.refused("DescribeContainerInstances", json!({"containerInstances": []}));
    assert_eq!(error.message, "Container instances cannot be empty.");
    assert_eq!(cluster.must("ListContainerInstances", json!({}))["containerInstanceArns"], json!([arn]));
}

#[test]
fn a_list_is_filtered_by_the_query_language() {
    let mut cluster = TestCluster::new();
    let ids = ["i-1", "i-2", "i-3"].map(|name| cluster.instance(name, "a"));
    let [first, second, third] = ids.map(|id| cluster.instance_arn(id));
    let stack = json!({"name": "stack", "value": "prod", "targetId": second});
    cluster.must("PutAttributes", json!({"attributes": [stack]}));
    cluster.register("web", 10, 10);
    cluster.must("StartTask", json!({"taskDefinition": "web", "containerInstances": [third], "group": "web"}));
    cluster.must("UpdateContainerInstancesState", json!({"containerInstances": [first], "status": "DRAINING"}));
    for (filter, expected) in [
        ("", json!([first, second, third])),
        ("attribute:stack == prod", json!([second])),
        ("attribute:stack != prod", Value::Null),
        ("attribute:stack !exists", json!([first, third])),
        ("task:group == web", json!([third])),
        ("not(task:group == web) and ec2InstanceId in [i-2, i-3]", json!([second])),
    ] {
        let answer = cluster.must("ListContainerInstances", json!({"filter": filter}));
        assert_eq!(answer["containerInstanceArns"], expected, "{filter}");
    }
    let both = json!({"filter": "attribute:stack !exists", "status": "ACTIVE"});
    assert_eq!(cluster.must("ListContainerInstances", both)["containerInstanceArns"], json!([third]));
}

#[test]
fn a_filter_that_is_none_is_refused_with_its_place() {
    let mut cluster = TestCluster::new();
    for (filter, message) in [
        ("x", "position 0: unknown subject 'x'; did you mean"),
        ("attribute:rank ==", "position 17: expected a value after '==', found the end"),
        ("attribute:rank =~ '(a)\\1'", "position 22: backreferences"),
    ] {
        let error = cluster.refused("ListContainerInstances", json!({"filter": filter}));
        assert_eq!(error.code, ErrorCode::InvalidParameter);
        assert!(error.message.starts_with(&format!("Invalid expression at {message}")), "{error}");
    }
}

#[test]
fn draining_takes_no_new_tasks_and_can_be_taken_back() {
    let mut cluster = TestCluster::new();
    let id = cluster.instance("i-1", "a");
    let arn = cluster.instance_arn(id);
    cluster.register("web", 400, 600);
    let set = |cluster: &mut TestCluster, status: &str| {
        cluster.must("UpdateContainerInstancesState", json!({"containerInstances": [arn], "status": status}))
    };
    assert_eq!(set(&mut cluster, "DRAINING")["containerInstances"][0]["status"], "DRAINING");
    assert_eq!(
        cluster.must("ListContainerInstances", json!({"status": "DRAINING"}))["containerInstanceArns"],
        json!([arn])
    );
    assert!(cluster.must("ListContainerInstances", json!({"status": "ACTIVE"})).get("containerInstanceArns").is_none());
    let error = cluster.refused("RunTask", json!({"taskDefinition": "web"}));
    assert_eq!(error.message, "No Container Instances were found in your cluster.");
    set(&mut cluster, "ACTIVE");
    assert_eq!(ids_of(&cluster.must("RunTask", json!({"taskDefinition": "web"}))).len(), 1);
    let missing = "0123456789abcdef0123456789abcdef";
    let answer =
        cluster.must("UpdateContainerInstancesState", json!({"containerInstances": [missing], "status": "ACTIVE"}));
    assert_eq!(answer["failures"][0]["reason"], "MISSING");
    let error =
        cluster.refused("UpdateContainerInstancesState", json!({"containerInstances": [arn], "status": "INACTIVE"}));
    assert_eq!(error.code, ErrorCode::InvalidParameter);
    let many: Vec<&str> = vec![missing; 11];
    cluster.refused("UpdateContainerInstancesState", json!({"containerInstances": many, "status": "ACTIVE"}));
}

#[test]
fn an_instance_with_tasks_is_deregistered_by_force_only() {
    let mut cluster = TestCluster::new();
    let id = cluster.instance("i-1", "a");
    let arn = cluster.instance_arn(id);
    cluster.register("web", 400, 600);
    let task = ids_of(&cluster.must("RunTask", json!({"taskDefinition": "web"})))[0];
    cluster.runs(task);
    let error = cluster.refused("DeregisterContainerInstance", json!({"containerInstance": arn}));
    assert_eq!(error.code, ErrorCode::InvalidParameter, "{error}");
    let gone = cluster.must("DeregisterContainerInstance", json!({"containerInstance": arn, "force": true}));
    assert_eq!(
        (&gone["containerInstance"]["status"], &gone["containerInstance"]["agentConnected"]),
        (&json!("INACTIVE"), &json!(false))
    );
    let shown = cluster.must("DescribeTasks", json!({"tasks": [task.to_string()]}))["tasks"][0].clone();
    assert_eq!(
        (&shown["lastStatus"], &shown["stoppedReason"]),
        (&json!("STOPPED"), &json!("Container instance deregistration forced by user"))
    );
    let error = cluster.refused("DeregisterContainerInstance", json!({"containerInstance": arn}));
    assert!(error.message.starts_with("Referenced container instance"), "{error}");
}
