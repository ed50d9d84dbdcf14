//! `seawall zone` against three zones: fenced, evacuated, opened again, and what a loss would mean.

mod support;

use support::{Dev, ZONES, until};

/// Running tasks by zone.
fn running(dev: &Dev) -> Vec<u64> {
    let status = dev.run(&["status", "-o", "json"]).json();
    let zones = status["zones"].as_array().unwrap().clone();
    zones.iter().map(|zone| zone["runningTasks"].as_u64().unwrap_or(0)).collect()
}

#[test]
fn a_zone_is_fenced_evacuated_and_opened_again() {
    let dev = Dev::ready();
    dev.run(&["run", "anything", "--name", "web", "--count", "6"]).ok();
    assert_eq!(running(&dev), [2, 2, 2]);
    assert!(dev.run(&["zone", "check"]).ok().contains("all would fit"));

    let fenced = dev.run(&["zone", "fence", "b", "--reason", "power works"]).ok();
    assert_eq!(
        fenced,
        format!("zone {0} is fenced: nothing new is placed there. next: seawall zone return {0}\n", ZONES[1])
    );
    dev.run(&["scale", "web=8"]).ok();
    assert_eq!(running(&dev), [3, 2, 3]);
    assert!(dev.run(&["status"]).ok().contains("is fenced (power works)"));

    dev.run(&["zone", "evacuate", "b"]).ok();
    assert_eq!(running(&dev), [4, 0, 4]);
    let zones = dev.run(&["zone", "ls", "-o", "json"]).json();
    assert_eq!(zones["zones"][1]["state"], "EVACUATING");

    assert_eq!(dev.run(&["zone", "return", "b"]).ok(), format!("zone {} is open\n", ZONES[1]));
    dev.run(&["scale", "web=12"]).ok();
    until("the zone takes tasks again", || match running(&dev) {
        of if of == [4, 4, 4] => Ok(()),
        of => Err(format!("{of:?}")),
    });
    assert!(dev.run(&["zone", "return", "b"]).refused(1).contains("is open"));
    assert!(dev.run(&["zone", "fence", "nowhere"]).refused(1).contains("there are: us-local-1a"));
}

#[test]
fn a_service_that_needs_every_zone_is_named_with_the_reason() {
    let dev = Dev::ready();
    let instances = dev.run(&["instance", "ls", "-o", "json"]).json();
    let memory = instances["containerInstances"][0]["registeredResources"].as_array().unwrap().clone();
    let memory = memory.iter().find(|r| r["name"] == "MEMORY").unwrap()["integerValue"].as_u64().unwrap();
    let (count, size) = ("3", (memory * 2 / 3).to_string());
    dev.run(&["run", "anything", "--name", "wide", "--count", count, "--memory", &size]).ok();
    let checked = dev.run(&["zone", "check"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    let simulated = dev.run(&["simulate", "wide", "--without-zone", "b"]);
    assert!(simulated.code == 1 && simulated.stderr.contains("1 tasks would find no place"), "{simulated:?}");
    let more = format!("zone=us-local-1a,cpu=1024,memory={memory}");
    let simulated = dev.run(&["simulate", "wide", "--without-zone", "b", "--with-instance", &more]).ok();
    assert!(simulated.contains("added-1"), "{simulated}");
    assert!(checked.stdout.contains("default/wide") && checked.stdout.contains("insufficient memory"), "{checked:?}");
}
