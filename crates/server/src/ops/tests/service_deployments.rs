//! Service deployments and revisions as clients see them.

use seawall_model::{ErrorCode, TaskId};
use seawall_proto::internal::v1::StopCode;
use serde_json::{Value, json};

use crate::testing::TestCluster;

/// A service with a circuit breaker, at rest on `web:1`.
fn deployed() -> TestCluster {
    let mut cluster = TestCluster::new();
    for (name, zone) in [("i-1", "a"), ("i-2", "b"), ("i-3", "c")] {
        cluster.instance(name, zone);
    }
    cluster.register("web", 100, 100);
    cluster.must(
        "CreateService",
        json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 2, "deploymentConfiguration":
            {"deploymentCircuitBreaker": {"enable": true, "rollback": true}}}),
    );
    cluster.reconcile();
    cluster.now_ms += 60_000;
    cluster.reconcile();
    cluster
}

fn service(cluster: &mut TestCluster) -> Value {
    cluster.must("DescribeServices", json!({"services": ["web"]}))["services"][0].clone()
}

fn listed(cluster: &mut TestCluster, input: Value) -> Vec<Value> {
    let mut input = input;
    input["service"] = json!("web");
    cluster.must("ListServiceDeployments", input)["serviceDeployments"].as_array().cloned().unwrap_or_default()
}

fn deploy(cluster: &mut TestCluster) -> Value {
    let revision = cluster.register("web", 100, 100);
    cluster.now_ms += 1000;
    cluster.must("UpdateService", json!({"service": "web", "taskDefinition": revision}))["service"].clone()
}

/// Every task of the primary deployment fails to start, until the circuit breaker trips.
fn fail_until_given_up(cluster: &mut TestCluster) {
    for _ in 0..60 {
        cluster.plan_once();
        let service = service(cluster);
        if service["events"].to_string().contains("deployment failed") {
            return;
        }
        let primary = service["taskDefinition"].clone();
        let pending: Vec<TaskId> = cluster.live();
        for task in pending {
            let shown = cluster.must("DescribeTasks", json!({"tasks": [task.to_string()]}))["tasks"][0].clone();
            if shown["lastStatus"] == "PENDING" && shown["taskDefinitionArn"] == primary {
                let now_ms = cluster.now_ms;
                cluster.report(task, |report| {
                    report.status = seawall_proto::internal::v1::TaskStatus::Stopped.into();
                    report.stop_code = StopCode::TaskFailedToStart.into();
                    report.stopped_at_ms = now_ms;
                });
            }
        }
        cluster.now_ms += 1000;
    }
    panic!("the circuit breaker never trips");
}

#[test]
fn each_change_of_what_a_service_runs_is_a_deployment_of_a_revision() {
    let mut cluster = deployed();
    let first = service(&mut cluster);
    let digits = first["deployments"][0]["id"].as_str().unwrap().trim_start_matches("ecs-svc/").to_owned();
    // Terraform finds the service deployment by these digits.
    let arn = format!("arn:aws:ecs:us-local-1:000000000000:service-revision/default/web/{digits}");
    assert_eq!(
        first["currentServiceRevisions"],
        json!([{"arn": arn, "requestedTaskCount": 2, "runningTaskCount": 2, "pendingTaskCount": 0}])
    );
    let old = listed(&mut cluster, json!({}));
    assert_eq!(
        (old.len(), &old[0]["status"], &old[0]["targetServiceRevisionArn"]),
        (1, &json!("SUCCESSFUL"), &json!(arn))
    );
    assert_eq!(first["currentServiceDeployment"], old[0]["serviceDeploymentArn"]);
    let updated = deploy(&mut cluster);
    let all = listed(&mut cluster, json!({}));
    assert_eq!((all.len(), &all[0]["status"]), (2, &json!("IN_PROGRESS")), "the newest first");
    assert_eq!(updated["currentServiceDeployment"], all[0]["serviceDeploymentArn"]);
    assert_eq!(listed(&mut cluster, json!({"status": ["SUCCESSFUL"]})), old);
    let at = all[0]["createdAt"].as_f64().unwrap();
    assert_eq!(listed(&mut cluster, json!({"createdAt": {"after": at - 0.5}})), all[..1]);
    assert_eq!(listed(&mut cluster, json!({"createdAt": {"before": at - 0.5}})), old);
    let shown = cluster.must(
        "DescribeServiceDeployments",
        json!({"serviceDeploymentArns": [all[0]["serviceDeploymentArn"], arn.replace("revision", "deployment")]}),
    );
    let deployment = &shown["serviceDeployments"][0];
    assert_eq!(deployment["sourceServiceRevisions"][0]["arn"], arn);
    assert_eq!(deployment["sourceServiceRevisions"][0]["runningTaskCount"], 2);
    assert_eq!(deployment["targetServiceRevision"]["requestedTaskCount"], 2);
    assert_eq!(
        deployment["deploymentCircuitBreaker"],
        json!({"status": "MONITORING", "failureCount": 0, "threshold": 3})
    );
    assert_eq!(shown["failures"][0]["reason"], "MISSING");
    let revisions = cluster.must("DescribeServiceRevisions", json!({"serviceRevisionArns": [arn]}));
    let revision = &revisions["serviceRevisions"][0];
    assert_eq!(revision["taskDefinition"], "arn:aws:ecs:us-local-1:000000000000:task-definition/web:1");
    assert_eq!((&revision["launchType"], &revision["containerImages"][0]["image"]), (&json!("EC2"), &json!("busybox")));
}

#[test]
fn a_rollout_that_fails_is_rolled_back_in_the_words_of_ecs() {
    let mut cluster = deployed();
    let good = service(&mut cluster)["deployments"][0]["id"].as_str().unwrap().to_owned();
    let bad = deploy(&mut cluster)["deployments"][0]["id"].as_str().unwrap().to_owned();
    // As Terraform does before it updates a service.
    cluster.must("DeregisterTaskDefinition", json!({"taskDefinition": "web:1"}));
    fail_until_given_up(&mut cluster);
    let back = service(&mut cluster);
    assert_eq!(back["deployments"][0]["id"], good);
    assert_eq!(
        back["deployments"][0]["rolloutStateReason"],
        format!("ECS deployment circuit breaker: rolling back to deploymentId {good}.")
    );
    assert!(back["taskDefinition"].as_str().unwrap().ends_with("web:1"));
    assert_eq!((&back["runningCount"], &back["pendingCount"]), (&json!(2), &json!(0)));
    let said: Vec<&str> =
        back["events"].as_array().unwrap().iter().map(|e| e["message"].as_str().unwrap()).take(2).collect();
    assert_eq!(
        said,
        [
            format!("(service web) rolling back to deployment {good}."),
            format!("(service web) (deployment {bad}) deployment failed: tasks failed to start.")
        ]
    );
    let rolling = listed(&mut cluster, json!({"status": ["ROLLBACK_IN_PROGRESS"]}));
    assert_eq!(rolling.len(), 1);
    cluster.reconcile();
    let arn = rolling[0]["serviceDeploymentArn"].clone();
    let shown = cluster.must("DescribeServiceDeployments", json!({"serviceDeploymentArns": [arn]}));
    let deployment = &shown["serviceDeployments"][0];
    let reason = "Service deployment rolled back because the circuit breaker threshold was exceeded.";
    assert_eq!((&deployment["status"], &deployment["statusReason"]), (&json!("ROLLBACK_SUCCESSFUL"), &json!(reason)));
    assert_eq!(deployment["rollback"]["reason"], reason);
    assert_eq!(deployment["deploymentCircuitBreaker"]["status"], "TRIGGERED");
    assert_eq!(deployment["deploymentCircuitBreaker"]["threshold"], 3);
    let rest = service(&mut cluster);
    assert_eq!(rest["deployments"].as_array().unwrap().len(), 1, "the waiter ends");
    assert_eq!(rest["deployments"][0]["rolloutState"], "COMPLETED");
}

#[test]
fn a_caller_stops_a_deployment() {
    let mut cluster = deployed();
    let done = listed(&mut cluster, json!({}))[0]["serviceDeploymentArn"].clone();
    let error = cluster.refused("StopServiceDeployment", json!({"serviceDeploymentArn": done}));
    assert_eq!(error.code, ErrorCode::Conflict, "{error}");
    deploy(&mut cluster);
    cluster.plan_once();
    let arn = listed(&mut cluster, json!({}))[0]["serviceDeploymentArn"].clone();
    let error = cluster.refused("StopServiceDeployment", json!({"serviceDeploymentArn": arn, "stopType": "ABORT"}));
    assert_eq!(error.code, ErrorCode::UnsupportedFeature, "{error}");
    let answer = cluster.must("StopServiceDeployment", json!({"serviceDeploymentArn": arn, "stopType": "ROLLBACK"}));
    assert_eq!(answer["serviceDeploymentArn"], arn);
    cluster.must("StopServiceDeployment", json!({"serviceDeploymentArn": arn}));
    cluster.reconcile();
    let shown = cluster.must("DescribeServiceDeployments", json!({"serviceDeploymentArns": [arn]}));
    assert_eq!(shown["serviceDeployments"][0]["status"], "ROLLBACK_SUCCESSFUL");
    assert!(service(&mut cluster)["taskDefinition"].as_str().unwrap().ends_with("web:1"));
    let error = cluster.refused("ContinueServiceDeployment", json!({"serviceDeploymentArn": arn, "hookId": "h"}));
    assert!(error.code == ErrorCode::InvalidParameter && error.message.contains("no lifecycle hook h"), "{error}");
}

#[test]
fn what_does_not_exist_is_said_so() {
    let mut cluster = deployed();
    let nope = "arn:aws:ecs:us-local-1:000000000000:service-deployment/default/web/NCWGC2ZR-tawPAYrIaU5_";
    let error = cluster.refused("StopServiceDeployment", json!({"serviceDeploymentArn": nope}));
    assert_eq!(error.code, ErrorCode::ServiceDeploymentNotFound);
    let error = cluster.refused("ListServiceDeployments", json!({"service": "nope"}));
    assert_eq!(error.code, ErrorCode::ServiceNotFound);
    let error = cluster.refused("DescribeServiceDeployments", json!({"serviceDeploymentArns": ["web"]}));
    assert_eq!(error.code, ErrorCode::InvalidParameter);
    let many: Vec<&str> = vec![nope; 21];
    assert!(
        cluster.refused("DescribeServiceDeployments", json!({"serviceDeploymentArns": many})).message.contains("20")
    );
    assert!(cluster.refused("DescribeServiceRevisions", json!({"serviceRevisionArns": []})).message.contains("empty"));
    let error = cluster.refused("ListServicesByNamespace", json!({"namespace": "here"}));
    assert_eq!(error.code, ErrorCode::NamespaceNotFound);
}

#[test]
fn services_are_found_by_the_namespace_that_they_say() {
    let mut cluster = deployed();
    let connect = json!({"enabled": true, "namespace": "here"});
    cluster.must("UpdateService", json!({"service": "web", "serviceConnectConfiguration": connect}));
    let answer = cluster.must("ListServicesByNamespace", json!({"namespace": "here"}));
    assert_eq!(answer["serviceArns"], json!(["arn:aws:ecs:us-local-1:000000000000:service/default/web"]));
    assert_eq!(listed(&mut cluster, json!({})).len(), 2, "tasks of it are other ones");
    let said = service(&mut cluster)["events"][0]["message"].clone();
    assert_eq!(said, "(service web) serviceConnectConfiguration is stored but has no effect in this version");
}

#[test]
fn a_page_has_twenty_service_deployments() {
    let mut cluster = deployed();
    for _ in 0..24 {
        cluster.now_ms += 1;
        cluster.must("UpdateService", json!({"service": "web", "forceNewDeployment": true}));
    }
    let first = cluster.must("ListServiceDeployments", json!({"service": "web"}));
    assert_eq!(first["serviceDeployments"].as_array().unwrap().len(), 20);
    let next = json!({"service": "web", "nextToken": first["nextToken"]});
    assert_eq!(cluster.must("ListServiceDeployments", next)["serviceDeployments"].as_array().unwrap().len(), 5);
}

#[test]
fn bad_thresholds_are_refused_and_good_ones_echoed() {
    let mut cluster = deployed();
    let with = |kind: &str, value: i32| {
        json!({"service": "web", "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": false,
            "resetOnHealthyTask": false, "thresholdConfiguration": {"type": kind, "value": value}}}})
    };
    for (kind, value) in [("COUNT", 0), ("BOUNDED_PERCENT", 101), ("UNBOUNDED_PERCENT", -1), ("HALF", 1)] {
        let error = cluster.refused("UpdateService", with(kind, value));
        assert_eq!(error.code, ErrorCode::InvalidParameter, "{error}");
    }
    cluster.must("UpdateService", with("COUNT", 7));
    cluster.must("UpdateService", json!({"service": "web", "deploymentConfiguration": {"maximumPercent": 150}}));
    let shown = service(&mut cluster)["deploymentConfiguration"].clone();
    let expected = json!({"deploymentCircuitBreaker": {"enable": true, "rollback": false, "resetOnHealthyTask": false,
        "thresholdConfiguration": {"type": "COUNT", "value": 7}}, "maximumPercent": 150, "minimumHealthyPercent": 100,
        "strategy": "ROLLING", "bakeTimeInMinutes": 0});
    assert_eq!(shown, expected, "what is absent stays");
}
