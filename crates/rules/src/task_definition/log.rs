//! Log drivers and their options. An option that a driver does not know would fail when the container is made.

use seawall_model::ApiError;
use seawall_proto::v1::ContainerDefinition;

use super::invalid;

/// Options of every driver.
const COMMON: &[&str] = &["mode", "max-buffer-size", "tag", "labels", "labels-regex", "env", "env-regex"];

/// Of one driver.
struct Driver {
    name: &'static str,
    options: &'static [&'static str],
    required: &'static [&'static str],
}

#[rustfmt::skip]
const DRIVERS: &[Driver] = &[
    Driver { name: "json-file", options: &["max-size", "max-file", "compress"], required: &[] },
    Driver { name: "journald", options: &[], required: &[] },
    Driver { name: "syslog", options: &["syslog-address", "syslog-facility", "syslog-tls-ca-cert", "syslog-tls-cert", "syslog-tls-key", "syslog-tls-skip-verify", "syslog-format"], required: &[] },
    Driver { name: "gelf", options: &["gelf-address", "gelf-compression-type", "gelf-compression-level", "gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay"], required: &["gelf-address"] },
    Driver { name: "fluentd", options: &["fluentd-address", "fluentd-async", "fluentd-async-connect", "fluentd-async-reconnect-interval", "fluentd-buffer-limit", "fluentd-retry-wait", "fluentd-max-retries", "fluentd-sub-second-precision", "fluentd-request-ack"], required: &[] },
    Driver { name: "awslogs", options: &["awslogs-group", "awslogs-region", "awslogs-stream-prefix", "awslogs-create-group", "awslogs-datetime-format", "awslogs-multiline-pattern", "awslogs-endpoint"], required: &["awslogs-group", "awslogs-region"] },
    Driver { name: "splunk", options: &["splunk-token", "splunk-url", "splunk-source", "splunk-sourcetype", "splunk-index", "splunk-capath", "splunk-caname", "splunk-insecureskipverify", "splunk-format", "splunk-verify-connection", "splunk-gzip", "splunk-gzip-level"], required: &["splunk-token", "splunk-url"] },
];

/// The driver is one that this version runs, with options that it knows and all that it needs.
pub fn check(container: &ContainerDefinition) -> Result<(), ApiError> {
    let Some(log) = &container.log_configuration else { return Ok(()) };
    let name = log.log_driver();
    let Some(driver) = DRIVERS.iter().find(|d| d.name == name) else {
        return Err(invalid(container, format!("Log driver {name} is not supported by this version.")));
    };
    let missing: Vec<&str> = driver.required.iter().copied().filter(|o| !log.options.contains_key(*o)).collect();
    if !missing.is_empty() {
        return Err(invalid(container, format!("Log driver {name} requires options: {}", missing.join(", "))));
    }
    let known = |option: &str| driver.options.contains(&option) || COMMON.contains(&option);
    let unknown: Vec<&str> = log.options.keys().map(String::as_str).filter(|o| !known(o)).collect();
    if !unknown.is_empty() {
        return Err(invalid(container, format!("Log driver {name} disallows options: {}", unknown.join(", "))));
    }
    log.options.iter().try_for_each(|(option, value)| check_value(container, option, value))
}

fn check_value(container: &ContainerDefinition, option: &str, value: &str) -> Result<(), ApiError> {
    let wanted = match option {
        "mode" if !matches!(value, "blocking" | "non-blocking") => "blocking or non-blocking",
        "max-size" | "max-buffer-size" if !is_size(value) => "a number with k, m or g",
        "max-file" if value.parse::<u32>().is_ok_and(|n| n > 0) => return Ok(()),
        "max-file" => "a number above 0",
        _ => return Ok(()),
    };
    Err(invalid(container, format!("The log option {option} is '{value}'; it must be {wanted}.")))
}

fn is_size(value: &str) -> bool {
    let number = value.to_ascii_lowercase();
    let number = number.strip_suffix('b').unwrap_or(&number);
    number.strip_suffix(['k', 'm', 'g']).unwrap_or(number).parse::<u64>().is_ok()
}
