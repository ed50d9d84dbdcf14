use seawall_model::ErrorCode;
use seawall_proto::internal::v1::{RaiseClusterVersion, command};
use serde_json::{Value, json};

use crate::testing::TestCluster;

fn with_service(count: i32) -> TestCluster {
    let mut cluster = TestCluster::new();
    for (name, zone) in [("i-1", "a"), ("i-2", "b"), ("i-3", "c")] {
        cluster.instance(name, zone);
    }
    cluster.register("web", 100, 100);
    cluster.must(
        "CreateService",
        json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": count,
               "tags": [{"key": "team", "value": "x"}], "healthCheckGracePeriodSeconds": 7}),
    );
    cluster.reconcile();
    cluster
}

fn describe(cluster: &mut TestCluster) -> Value {
    cluster.must("DescribeServices", json!({"services": ["web"]}))["services"][0].clone()
}

#[test]
fn a_service_is_echoed_with_its_defaults() {
    let mut cluster = with_service(3);
    let service = describe(&mut cluster);
    assert_eq!(service["serviceArn"], "arn:aws:ecs:us-local-1:000000000000:service/default/web");
    assert_eq!(
        (&service["status"], &service["desiredCount"], &service["runningCount"], &service["pendingCount"]),
        (&json!("ACTIVE"), &json!(3), &json!(3), &json!(0))
    );
    assert_eq!(
        (&service["launchType"], &service["schedulingStrategy"], &service["deploymentController"]["type"]),
        (&json!("EC2"), &json!("REPLICA"), &json!("ECS"))
    );
    assert_eq!(service["deploymentConfiguration"]["minimumHealthyPercent"], 100);
    assert_eq!(service["deploymentConfiguration"]["maximumPercent"], 200);
    assert_eq!(service["deployments"][0]["rolloutState"], "COMPLETED");
    assert!(service["deployments"][0]["id"].as_str().unwrap().starts_with("ecs-svc/"));
    assert!(service.get("tags").is_none(), "only on request");
    let tagged = cluster.must("DescribeServices", json!({"services": ["web"], "include": ["TAGS"]}));
    assert_eq!(tagged["services"][0]["tags"], json!([{"key": "team", "value": "x"}]));
    let events: Vec<&str> =
        service["events"].as_array().unwrap().iter().map(|e| e["message"].as_str().unwrap()).collect();
    assert!(events[0].contains("has reached a steady state"), "the newest first: {events:?}");
    assert!(events.iter().any(|text| text.contains("has started 3 tasks")), "{events:?}");
}

#[test]
fn bad_services_are_refused() {
    let mut cluster = with_service(1);
    let base = json!({"serviceName": "new", "taskDefinition": "web", "desiredCount": 1});
    let refused = |cluster: &mut TestCluster, member: &str, value: Value| {
        let mut input = base.clone();
        input[member] = value;
        let error = cluster.refused("CreateService", input);
        (error.code, error.message)
    };
    for (member, value, code, text) in [
        ("serviceName", json!("a b"), ErrorCode::InvalidParameter, "Invalid service name"),
        ("taskDefinition", json!("nope"), ErrorCode::Client, "TaskDefinition not found."),
        ("taskDefinition", json!(""), ErrorCode::InvalidParameter, "taskDefinition can not be blank."),
        ("desiredCount", Value::Null, ErrorCode::InvalidParameter, "desiredCount is required"),
        ("desiredCount", json!(-1), ErrorCode::InvalidParameter, "desiredCount is -1"),
        ("desiredCount", json!(5001), ErrorCode::InvalidParameter, "5000"),
        ("schedulingStrategy", json!("EVERYWHERE"), ErrorCode::InvalidParameter, "REPLICA or DAEMON"),
        ("launchType", json!("FARGATE"), ErrorCode::InvalidParameter, "does not support launch_type FARGATE"),
        (
            "placementStrategy",
            json!([{"type": "binpack", "field": "disk"}]),
            ErrorCode::InvalidParameter,
            "placementStrategy[0].field is \"disk\"",
        ),
        (
            "placementConstraints",
            json!([{"type": "distinctInstance"}, {"type": "memberOf", "expression": "attribute:a =="}]),
            ErrorCode::InvalidParameter,
            "placementConstraints[1].expression: ",
        ),
        (
            "deploymentConfiguration",
            json!({"minimumHealthyPercent": 100, "maximumPercent": 100}),
            ErrorCode::InvalidParameter,
            "no deployment could",
        ),
        (
            "deploymentConfiguration",
            json!({"earlySuccessCriteria": {"enable": true, "sourceServiceRevisionCleanup": "BLOCKING"}}),
            ErrorCode::InvalidParameter,
            "healthyPercent is required",
        ),
        (
            "deploymentConfiguration",
            json!({"earlySuccessCriteria": {"enable": true, "healthyPercent": 100}}),
            ErrorCode::InvalidParameter,
            "sourceServiceRevisionCleanup is required",
        ),
        (
            "deploymentConfiguration",
            json!({"earlySuccessCriteria": {"enable": true, "healthyPercent": 99, "sourceServiceRevisionCleanup": "BLOCKING"}}),
            ErrorCode::InvalidParameter,
            "healthyPercent is 99; it must be at least minimumHealthyPercent, which is 100.",
        ),
        ("healthCheckGracePeriodSeconds", json!(-1), ErrorCode::InvalidParameter, "healthCheckGracePeriodSeconds"),
        ("clientToken", json!("x".repeat(37)), ErrorCode::InvalidParameter, "36"),
    ] {
        let (is, message) = refused(&mut cluster, member, value);
        assert!(is == code && message.contains(text), "{member}: {is:?} {message}");
    }
    let error =
        cluster.refused("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 2}));
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::InvalidParameter, "Creation of service was not idempotent.")
    );
}

#[test]
fn update_keeps_what_is_absent_clears_what_is_empty_and_takes_what_is_given() {
    let mut cluster = with_service(3);
    let strategy = json!([{"type": "spread", "field": "attribute:ecs.availability-zone"}]);
    cluster.must(
        "UpdateService",
        json!({"service": "web", "placementStrategy": strategy, "healthCheckGracePeriodSeconds": 9}),
    );
    let given = describe(&mut cluster);
    assert_eq!(given["placementStrategy"], strategy);
    assert_eq!((&given["healthCheckGracePeriodSeconds"], &given["desiredCount"]), (&json!(9), &json!(3)));
    cluster.must("UpdateService", json!({"service": "web"}));
    assert_eq!(describe(&mut cluster)["placementStrategy"], strategy, "absent: as it was");
    cluster.must("UpdateService", json!({"service": "web", "placementStrategy": [], "desiredCount": 0}));
    let cleared = describe(&mut cluster);
    assert!(cleared.get("placementStrategy").is_none(), "empty: none any more");
    assert_eq!(
        (&cleared["healthCheckGracePeriodSeconds"], &cleared["desiredCount"]),
        (&json!(9), &json!(0)),
        "0 is not absent"
    );
    cluster.must("UpdateService", json!({"service": "web", "deploymentConfiguration": {"maximumPercent": 150}}));
    let percents = &describe(&mut cluster)["deploymentConfiguration"];
    assert_eq!((&percents["minimumHealthyPercent"], &percents["maximumPercent"]), (&json!(100), &json!(150)));
}

#[test]
fn early_success_criteria_are_kept_until_they_are_changed() {
    let mut cluster = with_service(1);
    let criteria = json!({"enable": true, "healthyPercent": 60, "sourceServiceRevisionCleanup": "DEFERRED"});
    let configuration = json!({"minimumHealthyPercent": 50, "earlySuccessCriteria": criteria});
    cluster.must("UpdateService", json!({"service": "web", "deploymentConfiguration": configuration}));
    cluster.must("UpdateService", json!({"service": "web", "deploymentConfiguration": {"maximumPercent": 150}}));
    assert_eq!(describe(&mut cluster)["deploymentConfiguration"]["earlySuccessCriteria"], criteria);
    let error = cluster
        .refused("UpdateService", json!({"service": "web", "deploymentConfiguration": {"minimumHealthyPercent": 61}}));
    assert!(error.message.contains("healthyPercent is 60; it must be at least"), "{error}");
    let off = json!({"enable": false});
    cluster.must("UpdateService", json!({"service": "web", "deploymentConfiguration": {"earlySuccessCriteria": off}}));
    assert_eq!(describe(&mut cluster)["deploymentConfiguration"]["earlySuccessCriteria"], off);
}

#[test]
fn only_some_updates_begin_a_deployment() {
    let mut cluster = with_service(3);
    let deployment = |cluster: &mut TestCluster| describe(cluster)["deployments"][0]["id"].clone();
    let first = deployment(&mut cluster);
    cluster.must("UpdateService", json!({"service": "web", "desiredCount": 2}));
    cluster.must("UpdateService", json!({"service": "web", "taskDefinition": "web:1"}));
    cluster.must("UpdateService", json!({"service": "web", "healthCheckGracePeriodSeconds": 1}));
    assert_eq!(deployment(&mut cluster), first);
    cluster.register("web", 100, 100);
    let updated = cluster.must("UpdateService", json!({"service": "web", "taskDefinition": "web"}));
    let deployments = updated["service"]["deployments"].as_array().unwrap();
    assert_eq!(deployments.len(), 2);
    assert_eq!((&deployments[0]["status"], &deployments[1]["status"]), (&json!("PRIMARY"), &json!("ACTIVE")));
    cluster.reconcile();
    let second = deployment(&mut cluster);
    assert_ne!(second, first);
    assert_eq!(describe(&mut cluster)["deployments"].as_array().unwrap().len(), 1);
    cluster.must("UpdateService", json!({"service": "web", "forceNewDeployment": true}));
    assert_ne!(deployment(&mut cluster), second);
}

#[test]
fn bad_updates_are_refused() {
    let mut cluster = with_service(1);
    let error = cluster.refused("UpdateService", json!({"service": "nope"}));
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::ServiceNotFound, "Service not found."));
    let revision = cluster.register("web", 100, 100);
    cluster.must("DeregisterTaskDefinition", json!({"taskDefinition": revision}));
    let error = cluster.refused("UpdateService", json!({"service": "web", "taskDefinition": revision}));
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::Client, "TaskDefinition is inactive"));
    let error = cluster.refused("UpdateService", json!({"service": "web", "expectedVersion": 1, "desiredCount": 2}));
    assert_eq!(error.code, ErrorCode::VersionMismatch);
    let version = cluster.state.services.iter().next().unwrap().1.changed;
    cluster.must("UpdateService", json!({"service": "web", "expectedVersion": version, "desiredCount": 2}));
}

#[test]
fn a_service_is_deleted_at_zero_or_by_force() {
    let mut cluster = with_service(2);
    let error = cluster.refused("DeleteService", json!({"service": "web"}));
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::InvalidParameter, "The service cannot be stopped while it is scaled above 0.")
    );
    let deleted = cluster.must("DeleteService", json!({"service": "web", "force": true}));
    assert_eq!((&deleted["service"]["status"], &deleted["service"]["desiredCount"]), (&json!("DRAINING"), &json!(0)));
    assert!(cluster.must("ListServices", json!({})).get("serviceArns").is_none(), "no list shows it");
    let error = cluster.refused("UpdateService", json!({"service": "web", "desiredCount": 1}));
    assert_eq!(error.code, ErrorCode::ServiceNotActive);
    let error =
        cluster.refused("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 1}));
    assert_eq!(error.code, ErrorCode::InvalidParameter, "{error}");
    cluster.reconcile();
    assert_eq!(describe(&mut cluster)["status"], "INACTIVE");
    assert_eq!(cluster.live(), []);
    cluster.must("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 0}));
    assert_eq!(describe(&mut cluster)["status"], "ACTIVE");
    cluster.must("DeleteService", json!({"service": "web"}));
    assert_eq!(cluster.refused("DeleteService", json!({"service": "nope"})).code, ErrorCode::ServiceNotFound);
}

#[test]
fn describe_names_what_is_missing() {
    let mut cluster = with_service(1);
    let answer = cluster.must("DescribeServices", json!({"services": ["web", "nope"]}));
    assert_eq!(answer["services"].as_array().unwrap().len(), 1);
    let arn = "arn:aws:ecs:us-local-1:000000000000:service/default/nope";
    assert_eq!(answer["failures"], json!([{"arn": arn, "reason": "MISSING"}]));
    let many: Vec<&str> = vec!["x"; 11];
    assert!(cluster.refused("DescribeServices", json!({"services": many})).message.contains("10"));
    assert_eq!(cluster.refused("DescribeServices", json!({"services": []})).message, "Services cannot be empty.");
}

/// Three instances and a cluster version that has daemons.
fn with_instances() -> TestCluster {
    let mut cluster = TestCluster::new();
    cluster.apply(command::Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    for (name, zone) in [("i-1", "a"), ("i-2", "b"), ("i-3", "c")] {
        cluster.instance(name, zone);
    }
    cluster.register("web", 100, 100);
    cluster
}

fn daemon() -> Value {
    json!({"serviceName": "web", "taskDefinition": "web", "schedulingStrategy": "DAEMON"})
}

#[test]
fn a_daemon_has_a_task_on_each_instance() {
    let mut cluster = with_instances();
    let made = cluster.must("CreateService", daemon())["service"].clone();
    assert_eq!((&made["schedulingStrategy"], &made["launchType"]), (&json!("DAEMON"), &json!("EC2")));
    let percents = &made["deploymentConfiguration"];
    assert_eq!((&percents["minimumHealthyPercent"], &percents["maximumPercent"]), (&json!(0), &json!(100)));
    cluster.reconcile();
    let now = describe(&mut cluster);
    assert_eq!((&now["desiredCount"], &now["runningCount"]), (&json!(3), &json!(3)));
    assert_eq!(now["deployments"][0]["desiredCount"], 3);
    cluster.instance("i-4", "a");
    cluster.reconcile();
    assert_eq!(describe(&mut cluster)["runningCount"], 4);
    cluster.must("CreateService", json!({"serviceName": "one", "taskDefinition": "web", "desiredCount": 1}));
    let listed = |cluster: &mut TestCluster, strategy: &str| {
        let arns = cluster.must("ListServices", json!({"schedulingStrategy": strategy}))["serviceArns"].clone();
        arns.as_array()
            .unwrap()
            .iter()
            .map(|arn| arn.as_str().unwrap().rsplit('/').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        (listed(&mut cluster, "DAEMON"), listed(&mut cluster, "REPLICA")),
        (vec!["web".to_owned()], vec!["one".to_owned()])
    );
    cluster.must("CreateService", daemon());
    cluster.must("DeleteService", json!({"service": "web"}));
    cluster.reconcile();
    assert_eq!(describe(&mut cluster)["status"], "INACTIVE", "nobody scales a daemon to 0");
}

#[test]
fn what_a_daemon_cannot_have_is_refused_in_ecs_s_words() {
    let mut cluster = with_instances();
    cluster.must("CreateService", json!({"serviceName": "one", "taskDefinition": "web", "desiredCount": 1}));
    let refusals = [
        (
            json!({"desiredCount": 1}),
            "The daemon scheduling strategy does not support a desired count for services. Remove the desired count value \
             and try again",
        ),
        (
            json!({"placementStrategy": [{"type": "spread", "field": "attribute:ecs.availability-zone"}]}),
            "The daemon scheduling strategy does not support placement strategies. Remove the placement strategy and try \
             again",
        ),
        (
            json!({"deploymentConfiguration": {"maximumPercent": 200}}),
            "The daemon scheduling strategy does not support values above 100 for maximumPercent on a deployment \
             configuration. Change the maximumPercent value to 100, and try again",
        ),
        (
            json!({"deploymentConfiguration": {"minimumHealthyPercent": 100}}),
            "deploymentConfiguration: with minimumHealthyPercent 100 and maximumPercent 100 no deployment could start or \
             stop a task.",
        ),
        (
            json!({"launchType": "FARGATE"}),
            "The daemon scheduling strategy does not support the launch type FARGATE. Change the launch type and try again",
        ),
    ];
    for (members, message) in &refusals {
        let mut input = daemon();
        input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let error = cluster.refused("CreateService", input);
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::InvalidParameter, *message));
    }
    cluster.must("CreateService", daemon());
    for (members, message) in &refusals[..4] {
        let mut input = members.clone();
        input["service"] = json!("web");
        let error = cluster.refused("UpdateService", input);
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::InvalidParameter, *message));
    }
    cluster.must("UpdateService", json!({"service": "web", "deploymentConfiguration": {"minimumHealthyPercent": 50}}));
    cluster.must("UpdateService", json!({"service": "web", "placementStrategy": [], "forceNewDeployment": true}));
    cluster.reconcile();
    assert_eq!(describe(&mut cluster)["deployments"].as_array().unwrap().len(), 1);
}

#[test]
fn a_cluster_of_the_first_version_has_no_daemons() {
    let mut cluster = TestCluster::new();
    cluster.register("web", 100, 100);
    let error = cluster.refused("CreateService", daemon());
    assert_eq!(error.code, ErrorCode::UnsupportedFeature);
    assert!(error.message.contains("needs cluster version 2; this cluster is at 1"), "{error}");
}

#[test]
fn zones_are_rebalanced_unless_that_is_impossible_or_switched_off() {
    let mut cluster = with_instances();
    let echoed = |cluster: &mut TestCluster, operation: &str, input: Value| {
        cluster.must(operation, input)["service"]["availabilityZoneRebalancing"].clone()
    };
    let web = json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 1});
    assert_eq!(echoed(&mut cluster, "CreateService", web.clone()), "ENABLED");
    assert_eq!(echoed(&mut cluster, "CreateService", web), "ENABLED", "the same again");
    let tight = json!({"serviceName": "tight", "taskDefinition": "web", "desiredCount": 1,
                       "deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 100}});
    assert_eq!(echoed(&mut cluster, "CreateService", tight), "DISABLED");
    let agent = json!({"serviceName": "agent", "taskDefinition": "web", "schedulingStrategy": "DAEMON"});
    assert_eq!(echoed(&mut cluster, "CreateService", agent), "DISABLED");
    let percents = json!({"minimumHealthyPercent": 50, "maximumPercent": 100});
    let refused = "AvailabilityZoneRebalancing does not support maximumPercent <= 100";
    for input in [
        json!({"service": "web", "deploymentConfiguration": percents}),
        json!({"service": "tight", "availabilityZoneRebalancing": "ENABLED"}),
    ] {
        let error = cluster.refused("UpdateService", input);
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::InvalidParameter, refused));
    }
    assert_eq!(echoed(&mut cluster, "UpdateService", json!({"service": "web", "desiredCount": 2})), "ENABLED");
    let off = json!({"service": "web", "availabilityZoneRebalancing": "DISABLED", "deploymentConfiguration": percents});
    assert_eq!(echoed(&mut cluster, "UpdateService", off), "DISABLED");
    assert_eq!(echoed(&mut cluster, "UpdateService", json!({"service": "web", "desiredCount": 1})), "DISABLED");
}
