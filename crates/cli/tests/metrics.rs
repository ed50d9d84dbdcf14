//! `/metrics` of members on real ports: what is read there is Prometheus's text format, and reading it changes nothing.

mod support;

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpStream,
};

use support::{Dev, WAIT_MAX, ZONES, until};

/// Scrapes in a row that must leave the log as it is.
const SCRAPES: usize = 100;

/// A page that was held against the format.
struct Page(BTreeMap<String, f64>);

impl Page {
    /// The page of the member on this port.
    fn of(port: u16) -> Page {
        let (head, body) = get(port, "/metrics");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}: {body}");
        assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
        let mut kinds = BTreeMap::new();
        let mut samples = BTreeMap::new();
        for line in body.lines() {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(kinds.insert(name, kind).is_none(), "{name} comes twice");
            } else if !line.starts_with("# HELP ") {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
                let name = series.split('{').next().unwrap();
                assert!(
                    name.starts_with("seawall_") && kinds.contains_key(family(name, &kinds)),
                    "{line}: of no metric"
                );
                let labels = series[name.len()..].strip_prefix('{').map(|labels| labels.strip_suffix('}').unwrap());
                assert!(labels.is_none_or(are_labels), "{line}");
                assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{series} comes twice");
            }
        }
        Page(samples)
    }

    fn value(&self, series: &str) -> Option<f64> {
        self.0.get(series).copied()
    }

    /// The sum of the samples whose name and labels begin so.
    fn sum(&self, prefix: &str) -> f64 {
        self.0.iter().filter(|(series, _)| series.starts_with(prefix)).map(|(_, value)| value).sum()
    }
}

/// The metric that a sample belongs to.
fn family<'a>(name: &'a str, kinds: &BTreeMap<&str, &str>) -> &'a str {
    let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
    of_histogram.filter(|name| kinds.get(name) == Some(&"histogram")).unwrap_or(name)
}

/// `a="b",c="d"`, without what would need escaping.
fn are_labels(labels: &str) -> bool {
    labels.split(',').all(|pair| {
        let value =
            pair.split_once("=\"").and_then(|(name, rest)| (!name.is_empty()).then_some(rest.strip_suffix('"')?));
        value.is_some_and(|value| !value.contains(['"', '\\']))
    })
}

/// The head and the body of an answer to who shows no key.
fn get(port: u16, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase().replacen("http", "HTTP", 1), body.to_owned())
}

#[test]
fn every_member_shows_itself_and_the_leader_shows_the_cluster() {
    let dev = Dev::ready();
    dev.run(&["run", "any", "--name", "web", "--count", "3"]).ok();
    dev.run(&["cluster", "show", "none"]).refused(1);
    let ports = [0, 10, 20].map(|offset| dev.port() + offset);
    let leader = until("one member leads, and knows of three tasks", || {
        let pages = ports.map(|port| (port, Page::of(port)));
        let leads: Vec<u16> = pages
            .iter()
            .filter(|(_, page)| page.value("seawall_is_leader") == Some(1.0))
            .map(|(port, _)| *port)
            .collect();
        let tasks: Vec<f64> =
            pages.iter().filter_map(|(_, page)| page.value("seawall_tasks{status=\"RUNNING\"}")).collect();
        let agents: f64 = pages.iter().map(|(_, page)| page.sum("seawall_agents_connected")).sum();
        match (&leads[..], &tasks[..], agents) {
            ([leader], [3.0], 3.0) => Ok(*leader),
            _ => Err(format!("led by {leads:?}, tasks {tasks:?}, {agents} agents")),
        }
    });
    let page = Page::of(leader);
    assert_eq!(page.value("seawall_instances{status=\"ACTIVE\",connected=\"true\"}"), Some(ZONES.len() as f64));
    let lags = ["a", "b", "c"].map(|name| page.value(&format!("seawall_follower_lag_entries{{member=\"{name}\"}}")));
    assert!(lags.iter().all(Option::is_some), "{lags:?}");
    assert!(page.value("seawall_process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e6));
    assert!(page.value("seawall_process_open_fds").is_some_and(|open| open > 10.0));
    let requests = |prefix: &str| {
        ports.map(|port| Page::of(port).sum(&format!("seawall_requests_total{{{prefix}"))).iter().sum::<f64>()
    };
    assert_eq!(requests("operation=\"CreateService\",protocol=\"grpc\",code=\"OK\""), 1.0);

    until("a member is scraped and the log does not grow", || {
        let index = |page: Page| page.value("seawall_raft_last_log_index").unwrap();
        let before = index(Page::of(leader));
        (0..SCRAPES).for_each(|_| drop(Page::of(leader)));
        let after = index(Page::of(leader));
        if before == after { Ok(()) } else { Err(format!("{before}, then {after}")) }
    });

    dev.run(&["access-key", "create"]).ok();
    until("every request must be signed, and is counted where it is not", || {
        let ended = dev.run(&["cluster", "ls"]);
        let counted =
            requests("operation=\"ListClusters\",protocol=\"grpc\",code=\"MissingAuthenticationTokenException\"")
                + requests(
                    "operation=\"DescribeClusters\",protocol=\"grpc\",code=\"MissingAuthenticationTokenException\"",
                );
        if ended.code == 1 && counted > 0.0 { Ok(()) } else { Err(format!("{ended:?}")) }
    });
    ports.map(Page::of).iter().for_each(|page| assert!(page.value("seawall_raft_term").is_some()));
}
