use seawall_model::ErrorCode;
use serde_json::json;

use crate::testing::{TestCluster, ids_of};

#[test]
fn tasks_of_services_are_protected_for_a_while() {
    let mut cluster = TestCluster::new();
    cluster.instance("i-1", "a");
    cluster.register("web", 100, 100);
    cluster.must("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 1}));
    cluster.reconcile();
    let task = cluster.must("ListTasks", json!({"serviceName": "web"}))["taskArns"][0].clone();
    let alone = ids_of(&cluster.must("RunTask", json!({"taskDefinition": "web"})))[0].to_string();

    let ask = json!({"cluster": "default", "tasks": [task, alone], "protectionEnabled": true, "expiresInMinutes": 5});
    let put = cluster.must("UpdateTaskProtection", ask);
    assert_eq!(put["protectedTasks"][0]["protectionEnabled"], true);
    assert!(put["protectedTasks"][0]["expirationDate"].is_number());
    assert_eq!(put["failures"][0]["reason"], "TASK_NOT_VALID");

    let get = |cluster: &mut TestCluster| {
        let all = cluster.must("GetTaskProtection", json!({"cluster": "default", "tasks": [task]}));
        all["protectedTasks"][0].clone()
    };
    assert_eq!(get(&mut cluster)["protectionEnabled"], true);
    cluster.now_ms += 5 * 60_000;
    assert_eq!(get(&mut cluster)["protectionEnabled"], false);
    let off = json!({"cluster": "default", "tasks": [task], "protectionEnabled": false});
    assert_eq!(cluster.must("UpdateTaskProtection", off)["protectedTasks"][0]["protectionEnabled"], false);
    let long = json!({"cluster": "default", "tasks": [task], "protectionEnabled": true, "expiresInMinutes": 2881});
    assert_eq!(cluster.refused("UpdateTaskProtection", long).code, ErrorCode::InvalidParameter);
}
