//! Logs.

use seawall_agent::runtime::{LogQuery, Runtime};

use crate::machine::{Machine, UNTIL_TOLD, lines, shell, started, text};

pub async fn both_streams_are_kept_and_read_after_the_end(machine: &Machine) {
    let runtime = machine.runtime();
    let script = "echo one; sleep 0.2; echo two >&2; sleep 0.2; echo three; printf 'no end'";
    let container = started(&runtime, shell(script)).await;
    machine.until_exited(&runtime, &container).await;
    let all = lines(&runtime, &container, LogQuery::default()).await;
    let told: Vec<(&str, bool)> = all.iter().map(|line| (text(line), line.stderr)).collect();
    assert_eq!(told, [("one", false), ("two", true), ("three", false), ("no end", false)]);
    assert!(all.iter().all(|line| line.container == "app"));
    let last = lines(&runtime, &container, LogQuery { tail: 2, ..Default::default() }).await;
    assert_eq!(last, all[2..]);
    let since = lines(&runtime, &container, LogQuery { since_ms: all[1].at_ms, ..Default::default() }).await;
    assert_eq!(since, all[1..]);
}

pub async fn a_log_is_followed_until_its_end(machine: &Machine) {
    let runtime = machine.runtime();
    let container = started(&runtime, shell(&format!("echo one; echo two; {UNTIL_TOLD}; echo three"))).await;
    let has_two = async || (lines(&runtime, &container, LogQuery::default()).await.len() == 2).then_some(());
    machine.until("two lines are there", has_two).await;
    let query = LogQuery { follow: true, tail: 1, ..Default::default() };
    let mut followed = runtime.logs(&container, query).await.unwrap();
    assert_eq!(text(&followed.recv().await.unwrap().unwrap()), "two");
    machine.tell(&container);
    assert_eq!(text(&followed.recv().await.unwrap().unwrap()), "three");
    assert!(followed.recv().await.is_none());
}

/// A script that writes so many lines of 10,000 letters between two others.
fn many_lines(count: usize) -> String {
    format!("echo first; head -c {}0000 /dev/zero | tr '\\0' x | fold -w 10000; echo; echo last", count)
}

pub async fn a_log_is_followed_from_file_to_file(machine: &Machine) {
    let runtime = machine.runtime();
    let container = started(&runtime, shell(&many_lines(2500))).await;
    let followed = lines(&runtime, &container, LogQuery { follow: true, ..Default::default() }).await;
    assert_eq!(followed.len(), 2502);
    assert!(text(&followed[0]) == "first" && text(&followed[2501]) == "last");
    assert!(machine.container_folder(&container).join("log.3").exists());
}

pub async fn the_log_is_capped(machine: &Machine) {
    let runtime = machine.runtime();
    let container = started(&runtime, shell(&many_lines(4500))).await;
    machine.until_exited(&runtime, &container).await;
    let folder = machine.container_folder(&container);
    let logs = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let sizes: Vec<u64> = logs
        .filter(|entry| entry.file_name().to_str().unwrap().starts_with("log."))
        .map(|entry| entry.metadata().unwrap().len())
        .collect();
    assert_eq!(sizes.len(), 3);
    assert!(sizes.iter().sum::<u64>() < 32 << 20, "{sizes:?}");
    let kept = lines(&runtime, &container, LogQuery::default()).await;
    assert!(kept.len() > 2000 && text(&kept[0]) != "first");
    let last = lines(&runtime, &container, LogQuery { tail: 1, ..Default::default() }).await;
    assert_eq!(text(&last[0]), "last");
}
