//! The process runtime with real processes, real shims and real kills.
//!
//! Without the usual harness, since the test executable must be a shim, an agent and the programs of containers as well.

#![expect(clippy::disallowed_methods, reason = "real processes are waited for by the real clock")]

mod adopt;
mod basics;
mod guard;
mod health;
mod logs;
mod machine;
mod memory;
mod ports;
mod programs;
mod stop;

use std::{
    ffi::OsString,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use machine::Machine;

/// Tests that run together: they wait more than they work.
const TOGETHER: usize = 4;
/// Longest test.
const TEST_MAX: Duration = Duration::from_secs(120);

/// Longest wait for an agent's files to be closed.
const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

/// A test's body on a fresh machine.
type Body = fn(&tokio::runtime::Runtime, &Machine);

/// Names tests after their functions.
macro_rules! tests {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($name)), |runtime, machine| {
            let test = async { tokio::time::timeout(TEST_MAX, $module::$name(machine)).await };
            runtime.block_on(test).expect("the test takes too long");
        })),*]
    };
}

const TESTS: &[(&str, Body)] = tests![
    basics::exit_codes_are_told,
    basics::the_environment_is_as_promised,
    basics::what_cannot_start_says_why,
    basics::other_images_are_refused,
    basics::unsupported_members_end_the_task_by_name,
    basics::a_container_is_started_once,
    basics::a_container_is_started_again_by_its_policy,
    basics::removed_containers_leave_nothing,
    ports::two_agents_have_one_port_on_two_addresses,
    ports::a_port_in_use_is_refused,
    ports::dynamic_ports_of_starts_at_the_same_time_differ,
    stop::a_program_may_end_by_itself_after_sigterm,
    stop::a_program_that_ignores_sigterm_is_killed,
    stop::a_stop_goes_on_without_the_agent,
    stop::what_the_main_process_leaves_is_killed,
    stop::a_shim_that_is_told_to_end_stops_its_container,
    stop::a_killed_shim_takes_its_container_along,
    stop::a_container_without_its_folder_ends,
    logs::both_streams_are_kept_and_read_after_the_end,
    logs::a_log_is_followed_until_its_end,
    logs::a_log_is_followed_from_file_to_file,
    logs::the_log_is_capped,
    health::a_check_tells_healthy_and_unhealthy,
    health::a_check_that_hangs_is_killed,
    health::a_check_that_cannot_run_is_told_in_the_log,
    memory::over_its_limit_a_task_is_out_of_memory,
    memory::containers_over_the_tasks_size_together_are_out_of_memory,
    adopt::a_killed_agent_leaves_tasks_that_the_next_takes_up,
    adopt::what_ended_without_an_agent_is_told_by_the_next,
    guard::a_task_starts_with_a_lease_and_ends_with_it,
    guard::the_guard_ends_tasks_without_agent_and_shim,
    guard::a_task_that_is_taken_up_keeps_its_lease,
];

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap_or_default()).collect();
    match words.split_first() {
        Some((&"shim", _)) => seawall_agent::shim_main(args.into_iter().skip(1)),
        Some((&"guard", _)) => seawall_agent::guard_main(args.into_iter().skip(1)),
        Some((&"agent", [folder])) => programs::agent(folder),
        Some((&"listen", [])) => programs::listen(),
        Some((&"eat", [mib])) => programs::eat(mib),
        _ => run(&words),
    }
}

fn run(words: &[&str]) -> ExitCode {
    let filters: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter));
    let wanted: Vec<&(&str, Body)> = TESTS.iter().filter(|(name, _)| is_wanted(name)).collect();
    if words.contains(&"--list") {
        wanted.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", wanted.len());
    let (next, failed, begun) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..TOGETHER {
            scope.spawn(|| {
                while let Some((name, body)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let passed = catch_unwind(AssertUnwindSafe(|| one(*body))).is_ok();
                    println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
                    if !passed {
                        failed.lock().unwrap().push(*name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let passed = wanted.len() - failed.len();
    let filtered = TESTS.len() - wanted.len();
    let result = if failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {result}. {passed} passed; {} failed; 0 ignored; 0 measured; {filtered} filtered out; finished \
         in {:.2}s\n",
        failed.len(),
        begun.elapsed().as_secs_f64()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(body: Body) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let machine = {
        let _entered = runtime.enter();
        Machine::new()
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| body(&runtime, &machine)));
    // First the agents: they would go on writing into the folder while it is removed.
    runtime.shutdown_timeout(SHUTDOWN_MAX);
    drop(machine);
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}
