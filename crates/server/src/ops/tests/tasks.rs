use seawall_model::ErrorCode;
use seawall_proto::internal::v1::{
    AgentIdentity, ConnectInstance, InstanceAttribute, Resources, TaskInterface, TaskStatus, command,
};
use serde_json::{Value, json};

use crate::testing::{TestCluster, id_of, ids_of};

fn two_instances() -> TestCluster {
    let mut cluster = TestCluster::new();
    cluster.instance("i-1", "a");
    cluster.instance("i-2", "b");
    cluster.register("web", 400, 600);
    cluster
}

fn reasons(answer: &Value) -> Vec<(String, String)> {
    let failures = answer["failures"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    failures.iter().map(|failure| (text(&failure["reason"]), text(&failure["detail"]))).collect()
}

#[test]
fn tasks_are_pending_with_their_group_and_size() {
    let mut cluster = two_instances();
    let answer = cluster.must("RunTask", json!({"taskDefinition": "web", "count": 2, "startedBy": "me"}));
    let task = &answer["tasks"][0];
    assert_eq!(
        (
            &task["lastStatus"],
            &task["desiredStatus"],
            &task["group"],
            &task["startedBy"],
            &task["cpu"],
            &task["memory"]
        ),
        (&json!("PENDING"), &json!("RUNNING"), &json!("family:web"), &json!("me"), &json!("400"), &json!("600"))
    );
    assert_eq!(task["launchType"], "EC2");
    let zones: Vec<&Value> = answer["tasks"].as_array().unwrap().iter().map(|t| &t["availabilityZone"]).collect();
    assert_eq!(zones, ["a", "b"], "tasks of a group are spread");
    assert!(answer.get("failures").is_none());
}

#[test]
fn what_does_not_fit_is_a_failure_with_the_figures() {
    let mut cluster = two_instances();
    let answer = cluster.must("RunTask", json!({"taskDefinition": "web", "count": 5}));
    assert_eq!(ids_of(&answer).len(), 4, "what fits is placed");
    let needs = |has: &str| ("RESOURCE:CPU".to_owned(), format!("needs 400 CPU units; has {has}"));
    assert_eq!(reasons(&answer), [needs("224; left out: 2 by cpu"), needs("224")], "the first counts all");
    cluster.register("big", 1, 3000);
    let nothing = cluster.must("RunTask", json!({"taskDefinition": "big"}));
    assert!(nothing.get("tasks").is_none());
    assert_eq!(
        reasons(&nothing)[0],
        ("RESOURCE:MEMORY".into(), "needs 3000 MiB; has 848; left out: 2 by memory".into())
    );
    let arn = nothing["failures"][0]["arn"].as_str().unwrap();
    assert!(arn.contains(":container-instance/default/"), "{arn}");
}

#[test]
fn a_port_is_taken_once_an_instance() {
    let mut cluster = two_instances();
    cluster.must(
        "RegisterTaskDefinition",
        json!({"family": "port", "containerDefinitions": [
        {"name": "main", "image": "x", "memory": 50, "portMappings": [{"containerPort": 80, "hostPort": 8080}]}]}),
    );
    let answer = cluster.must("RunTask", json!({"taskDefinition": "port", "count": 3}));
    assert_eq!(ids_of(&answer).len(), 2);
    assert_eq!(
        reasons(&answer)[0],
        ("RESOURCE:PORTS".into(), "needs host port 8080/tcp; it is taken; left out: 2 by ports".into())
    );
}

#[test]
fn bad_calls_are_refused_with_ecs_words() {
    let mut cluster = TestCluster::new();
    cluster.register("web", 1, 10);
    let message = |cluster: &mut TestCluster, input| {
        let error = cluster.refused("RunTask", input);
        (error.code, error.message)
    };
    assert_eq!(
        message(&mut cluster, json!({"taskDefinition": "web"})),
        (ErrorCode::InvalidParameter, "No Container Instances were found in your cluster.".into())
    );
    cluster.instance("i-1", "a");
    assert_eq!(
        message(&mut cluster, json!({"taskDefinition": "nope"})),
        (ErrorCode::Client, "TaskDefinition not found.".into())
    );
    for count in [0, 11, -1] {
        let (code, text) = message(&mut cluster, json!({"taskDefinition": "web", "count": count}));
        assert_eq!(code, ErrorCode::InvalidParameter);
        assert!(text.contains("between 1 and 10"), "{text}");
    }
    let (_, text) = message(&mut cluster, json!({"taskDefinition": "web", "group": "service:web"}));
    assert_eq!(text, "Invalid namespace for group.");
    let long = "x".repeat(129);
    assert!(message(&mut cluster, json!({"taskDefinition": "web", "startedBy": long})).1.contains("128"));
    for (member, value) in [("platformVersion", "1.0.0"), ("launchType", "MANAGED_INSTANCES")] {
        let (code, text) = message(&mut cluster, json!({"taskDefinition": "web", member: value}));
        assert_eq!(code, ErrorCode::UnsupportedFeature);
        assert!(text.contains(member), "{text}");
    }
    let revision = cluster.register("web", 1, 10);
    cluster.must("DeregisterTaskDefinition", json!({"taskDefinition": revision}));
    assert_eq!(message(&mut cluster, json!({"taskDefinition": revision})).1, "TaskDefinition is inactive");
    let newest = cluster.must("RunTask", json!({"taskDefinition": "web"}));
    assert!(newest["tasks"][0]["taskDefinitionArn"].as_str().unwrap().ends_with("/web:1"), "the newest that is ACTIVE");
}

#[test]
fn overrides_change_what_a_task_takes() {
    let mut cluster = two_instances();
    let bigger = json!({"containerOverrides": [{"name": "main", "cpu": 1000, "memory": 700, "environment": [{"name": "A", "value": "b"}]}]});
    let answer = cluster.must("RunTask", json!({"taskDefinition": "web", "count": 3, "overrides": bigger}));
    assert_eq!(ids_of(&answer).len(), 2);
    assert_eq!(answer["tasks"][0]["cpu"], "1000");
    assert_eq!(answer["tasks"][0]["overrides"]["containerOverrides"][0]["environment"][0]["name"], "A");
    let unknown = json!({"containerOverrides": [{"name": "nope"}]});
    let error = cluster.refused("RunTask", json!({"taskDefinition": "web", "overrides": unknown}));
    assert!(error.message.contains("nope"), "{error}");
    let twice = json!({"containerOverrides": [{"name": "main"}, {"name": "main"}]});
    assert!(cluster.refused("RunTask", json!({"taskDefinition": "web", "overrides": twice})).message.contains("twice"));
    let long = json!({"containerOverrides": [{"name": "main", "command": ["x".repeat(8200)]}]});
    assert!(cluster.refused("RunTask", json!({"taskDefinition": "web", "overrides": long})).message.contains("8192"));
}

#[test]
fn overrides_follow_the_rules_of_a_registration() {
    let mut cluster = two_instances();
    let containers = json!([{"name": "main", "image": "busybox", "memory": 256}]);
    cluster.must(
        "RegisterTaskDefinition",
        json!({"family": "sized", "cpu": "256", "memory": "512", "containerDefinitions": containers}),
    );
    let mut refusal = |overrides: serde_json::Value| {
        cluster.refused("RunTask", json!({"taskDefinition": "sized", "overrides": overrides})).message
    };
    let of_main = |member: &str, value: i32| json!({"containerOverrides": [{"name": "main", member: value}]});
    assert!(refusal(of_main("memory", 4096)).contains("greater than the task's 512"));
    assert!(refusal(of_main("memory", 0)).contains("at least 6 MiB"));
    assert!(refusal(of_main("cpu", 300)).contains("the task has 256"));
    assert!(refusal(json!({"memory": "0"})).contains("above 0"));
    assert!(refusal(json!({"memory": "much"})).contains("much"));
    assert!(refusal(json!({"cpu": "0"})).contains("not between"));
    let bigger = json!({"taskDefinition": "sized", "overrides": {"cpu": "0.5 vCPU", "memory": "1GB"}});
    let overrides = cluster.must("RunTask", bigger)["tasks"][0]["overrides"].clone();
    // As the agent reads them.
    assert_eq!((&overrides["cpu"], &overrides["memory"]), (&json!("512"), &json!("1024")));
}

#[test]
fn start_task_goes_where_the_caller_says() {
    let mut cluster = two_instances();
    let second = cluster.state.instance_by_ec2_id("i-2").map(|row| seawall_model::InstanceId(row.id)).unwrap();
    let arn = cluster.instance_arn(second);
    let missing = "0123456789abcdef0123456789abcdef";
    let answer = cluster.must("StartTask", json!({"taskDefinition": "web", "containerInstances": [arn, missing, arn]}));
    assert_eq!(ids_of(&answer).len(), 2);
    assert!(answer["tasks"].as_array().unwrap().iter().all(|task| task["containerInstanceArn"] == arn.as_str()));
    let full = format!("arn:aws:ecs:us-local-1:000000000000:container-instance/default/{missing}");
    assert_eq!(answer["failures"], json!([{"arn": full, "reason": "MISSING"}]));
    let third = cluster.must("StartTask", json!({"taskDefinition": "web", "containerInstances": [arn]}));
    assert_eq!(reasons(&third)[0].0, "RESOURCE:CPU");
    let none = cluster.must("StartTask", json!({"taskDefinition": "web", "containerInstances": [missing]}));
    assert_eq!(reasons(&none)[0].0, "MISSING");
    cluster.must("UpdateContainerInstancesState", json!({"containerInstances": [arn], "status": "DRAINING"}));
    let draining = cluster.must("StartTask", json!({"taskDefinition": "web", "containerInstances": [arn]}));
    assert_eq!(reasons(&draining)[0].0, "INACTIVE");
    let many: Vec<&str> = vec![missing; 11];
    cluster.refused("StartTask", json!({"taskDefinition": "web", "containerInstances": many}));
}

#[test]
fn a_task_is_stopped_with_its_reason() {
    let mut cluster = two_instances();
    let task =
        ids_of(&cluster.must("RunTask", json!({"taskDefinition": "web", "tags": [{"key": "a", "value": "b"}]})))[0];
    cluster.runs(task);
    let stopping = cluster.must("StopTask", json!({"task": task.to_string(), "reason": "enough"}));
    assert_eq!(
        (
            &stopping["task"]["desiredStatus"],
            &stopping["task"]["lastStatus"],
            &stopping["task"]["stopCode"],
            &stopping["task"]["stoppedReason"]
        ),
        (&json!("STOPPED"), &json!("RUNNING"), &json!("UserInitiated"), &json!("enough"))
    );
    cluster.ends(task, 143);
    let described = cluster.must("DescribeTasks", json!({"tasks": [task.to_string()], "include": ["TAGS"]}));
    let shown = &described["tasks"][0];
    assert_eq!((&shown["lastStatus"], &shown["stoppedReason"]), (&json!("STOPPED"), &json!("enough")));
    assert_eq!(shown["containers"][0]["exitCode"], 143);
    let by_default = ids_of(&cluster.must("RunTask", json!({"taskDefinition": "web"})))[0];
    let stopping = cluster.must("StopTask", json!({"task": by_default.to_string()}));
    assert_eq!(stopping["task"]["stoppedReason"], "Task stopped by user");
    for unknown in ["0123456789abcdef0123456789abcdef", "nonsense"] {
        let error = cluster.refused("StopTask", json!({"task": unknown}));
        assert_eq!(
            (error.code, error.message.as_str()),
            (ErrorCode::InvalidParameter, "The referenced task was not found.")
        );
    }
}

#[test]
fn describe_names_what_is_missing() {
    let mut cluster = two_instances();
    let task = ids_of(&cluster.must("RunTask", json!({"taskDefinition": "web"})))[0];
    let missing = "0123456789abcdef0123456789abcdef";
    let answer = cluster.must("DescribeTasks", json!({"tasks": [task.to_string(), missing]}));
    assert_eq!(ids_of(&answer), [task]);
    let full = format!("arn:aws:ecs:us-local-1:000000000000:task/default/{missing}");
    assert_eq!(answer["failures"], json!([{"arn": full, "reason": "MISSING"}]));
    assert_eq!(cluster.refused("DescribeTasks", json!({"tasks": []})).message, "Tasks cannot be empty.");
    let many: Vec<&str> = vec![missing; 101];
    assert!(cluster.refused("DescribeTasks", json!({"tasks": many})).message.contains("100"));
    let elsewhere = "arn:aws:ecs:us-local-1:000000000000:task/other/0123456789abcdef0123456789abcdef";
    let error = cluster.refused("DescribeTasks", json!({"tasks": [elsewhere]}));
    assert_eq!(error.message, "Invalid identifier: Identifier is for cluster other. Your cluster is default");
}

#[test]
fn lists_are_filtered() {
    let mut cluster = two_instances();
    cluster.register("job", 1, 10);
    cluster.must("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 2}));
    cluster.reconcile();
    let job = ids_of(&cluster.must("RunTask", json!({"taskDefinition": "job", "startedBy": "me"})))[0];
    let instance = cluster.state.tasks.get(&job).unwrap().instance_id;
    let arn = cluster.instance_arn(seawall_model::InstanceId(instance));
    let list = |cluster: &mut TestCluster, filter: Value| {
        let answer = cluster.must("ListTasks", filter);
        answer["taskArns"].as_array().cloned().unwrap_or_default().iter().map(id_of).collect::<Vec<_>>()
    };
    assert_eq!(list(&mut cluster, json!({})).len(), 3);
    assert_eq!(list(&mut cluster, json!({"family": "job"})), [job]);
    assert_eq!(list(&mut cluster, json!({"startedBy": "me"})), [job]);
    assert_eq!(list(&mut cluster, json!({"serviceName": "web"})).len(), 2);
    assert_eq!(list(&mut cluster, json!({"containerInstance": arn})).len(), 2);
    assert_eq!(list(&mut cluster, json!({"launchType": "EXTERNAL"})), []);
    assert_eq!(list(&mut cluster, json!({"desiredStatus": "PENDING"})), [], "no task is ever wanted PENDING");
    cluster.must("StopTask", json!({"task": job.to_string()}));
    assert_eq!(list(&mut cluster, json!({"desiredStatus": "STOPPED"})), [job]);
    assert_eq!(list(&mut cluster, json!({"desiredStatus": "STOPPED", "containerInstance": arn})), [job]);
    cluster.ends(job, 0);
    cluster.now_ms += 59 * 60 * 1000;
    assert_eq!(list(&mut cluster, json!({"desiredStatus": "STOPPED"})), [job], "an hour at least");
    cluster.now_ms += 2 * 60 * 1000;
    assert_eq!(list(&mut cluster, json!({"desiredStatus": "STOPPED"})), []);
    assert_eq!(cluster.refused("ListTasks", json!({"serviceName": "nope"})).code, ErrorCode::ServiceNotFound);
    assert_eq!(cluster.refused("ListTasks", json!({"containerInstance": "nope"})).code, ErrorCode::InvalidParameter);
}

fn own_network() -> TestCluster {
    let mut cluster = TestCluster::new();
    let attribute = |name: &str| InstanceAttribute { name: name.into(), ..Default::default() };
    cluster.apply(command::Kind::ConnectInstance(ConnectInstance {
        identity: Some(AgentIdentity {
            ec2_instance_id: "i-1".into(),
            zone: "a".into(),
            total: Some(Resources { cpu: 4096, memory: 8192, ..Default::default() }),
            attributes: vec![attribute("ecs.capability.task-eni")],
            ..Default::default()
        }),
        member_id: 1,
        new_arn_hi: 7,
        new_arn_lo: 7,
    }));
    cluster.must(
        "RegisterTaskDefinition",
        json!({"family": "own", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
               "memory": "512",
               "containerDefinitions": [{"name": "main", "image": "x", "portMappings": [{"containerPort": 80}]}]}),
    );
    cluster
}

/// Where its network is.
fn subnets() -> Value {
    json!({"awsvpcConfiguration": {"subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1"]}})
}

#[test]
fn a_task_with_an_address_of_its_own_is_told_of_with_its_interface() {
    let mut cluster = own_network();
    let missing = cluster.refused("RunTask", json!({"taskDefinition": "own"}));
    assert_eq!(missing.message, "Network Configuration must be provided when networkMode 'awsvpc' is specified.");
    let run = json!({"taskDefinition": "own", "launchType": "FARGATE", "networkConfiguration": subnets(), "count": 2});
    let mut odd = run.clone();
    odd["overrides"] = json!({"memory": "600"});
    assert_eq!(cluster.refused("RunTask", odd).message, "No Fargate configuration exists for given values.");
    let answer = cluster.must("RunTask", run);
    assert_eq!(ids_of(&answer).len(), 2, "an instance takes several with one port: {answer}");
    let task = ids_of(&answer)[0];
    let pending = &answer["tasks"][0];
    assert_eq!((&pending["launchType"], &pending["platformVersion"]), (&json!("FARGATE"), &json!("1.4.0")));
    assert_eq!(pending["platformFamily"], "Linux");
    assert_eq!(pending["attachments"][0]["status"], "PRECREATED");
    cluster.report(task, |report| {
        report.status = TaskStatus::Running.into();
        report.interface = Some(TaskInterface { private_ipv4: "172.17.0.5".into(), mac: "02:42:ac:11:00:05".into() });
    });
    let shown = cluster.must("DescribeTasks", json!({"tasks": [task.to_string()]}))["tasks"][0].clone();
    let attachment = &shown["attachments"][0];
    assert_eq!((&attachment["type"], &attachment["status"]), (&json!("ElasticNetworkInterface"), &json!("ATTACHED")));
    let names: Vec<&str> =
        attachment["details"].as_array().unwrap().iter().map(|d| d["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["subnetId", "networkInterfaceId", "macAddress", "privateDnsName", "privateIPv4Address"]);
    assert_eq!(attachment["details"][0]["value"], "subnet-1");
    assert_eq!(attachment["details"][3]["value"], "ip-172-17-0-5.us-local-1.compute.internal");
    let interface = &shown["containers"][0]["networkInterfaces"][0];
    assert_eq!(interface["attachmentId"], attachment["id"]);
    assert_eq!(interface["privateIpv4Address"], "172.17.0.5");
    cluster.ends(task, 0);
    let shown = cluster.must("DescribeTasks", json!({"tasks": [task.to_string()]}));
    assert_eq!(shown["tasks"][0]["attachments"][0]["status"], "DELETED");
}

#[test]
fn a_task_with_an_address_of_its_own_needs_an_agent_that_makes_one() {
    let mut cluster = own_network();
    let run = json!({"taskDefinition": "own", "networkConfiguration": subnets()});
    assert_eq!(ids_of(&cluster.must("RunTask", run.clone())).len(), 1);
    let mut cluster = TestCluster::new();
    cluster.instance("i-1", "a");
    cluster.must(
        "RegisterTaskDefinition",
        json!({"family": "own", "networkMode": "awsvpc",
               "containerDefinitions": [{"name": "main", "image": "x", "memory": 10}]}),
    );
    assert_eq!(reasons(&cluster.must("RunTask", run))[0].0, "ATTRIBUTE");
}

#[test]
fn launch_types_and_networks_fit_the_definition() {
    let mut cluster = two_instances();
    let refused = |cluster: &mut TestCluster, member: &str, value: Value| {
        cluster.refused("RunTask", json!({"taskDefinition": "web", member: value})).message
    };
    assert_eq!(
        refused(&mut cluster, "launchType", json!("FARGATE")),
        "Task definition does not support launch_type FARGATE."
    );
    assert_eq!(
        refused(&mut cluster, "networkConfiguration", subnets()),
        "Network Configuration is not valid for the given networkMode of this task definition."
    );
    assert_eq!(
        refused(&mut cluster, "platformVersion", json!("LATEST")),
        "The platform version must be null when specifying an EC2 launch type."
    );
    let task = &cluster.must("RunTask", json!({"taskDefinition": "web", "networkConfiguration": {}}))["tasks"][0];
    assert!(task.get("attachments").is_none() && task.get("platformVersion").is_none(), "{task}");
}

#[test]
fn a_service_keeps_its_network() {
    let mut cluster = own_network();
    let new = json!({"serviceName": "own", "taskDefinition": "own", "desiredCount": 1, "launchType": "FARGATE"});
    let missing = cluster.refused("CreateService", new.clone());
    assert_eq!(missing.message, "Network Configuration must be provided when networkMode 'awsvpc' is specified.");
    let mut new = new;
    new["networkConfiguration"] = subnets();
    let service = cluster.must("CreateService", new)["service"].clone();
    let mut filled = subnets();
    filled["awsvpcConfiguration"]["assignPublicIp"] = "DISABLED".into();
    for echo in [&service, &service["deployments"][0]] {
        assert_eq!(echo["networkConfiguration"], filled);
        assert_eq!(echo["platformFamily"], "Linux");
    }
    assert_eq!(service["platformVersion"], "LATEST");
    cluster.reconcile();
    let task = cluster.live()[0];
    let shown = cluster.must("DescribeTasks", json!({"tasks": [task.to_string()]}))["tasks"][0].clone();
    assert_eq!(shown["attachments"][0]["details"][0]["value"], "subnet-1");
    let other = json!({"awsvpcConfiguration": {"subnets": ["subnet-3"]}});
    let updated =
        cluster.must("UpdateService", json!({"service": "own", "networkConfiguration": other}))["service"].clone();
    assert_eq!(updated["networkConfiguration"]["awsvpcConfiguration"]["subnets"], json!(["subnet-3"]));
    assert_eq!(updated["deployments"].as_array().unwrap().len(), 2, "other subnets, other tasks");
    cluster.register("web", 10, 10);
    let plain = json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 0, "networkConfiguration": {}});
    let plain = cluster.must("CreateService", plain)["service"].clone();
    assert!(plain.get("networkConfiguration").is_none() && plain.get("platformVersion").is_none(), "{plain}");
}
