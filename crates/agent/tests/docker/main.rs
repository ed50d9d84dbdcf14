//! The engine and the Docker runtime against a real Docker engine, with an image of a static busybox made on the spot.
//!
//! Each test is an agent with an instance id and an address of its own, and removes what it made. Without an engine or a
//! static busybox a test says SKIP and passes, except under CI, where that is a failure.

#![expect(clippy::disallowed_methods, reason = "proxies and registries that stand around a real engine")]
#![expect(clippy::disallowed_types, reason = "bollard's requests and answers hold HashMaps")]

mod adopt;
mod bench;
mod cgroups;
mod faults;
mod ground;
mod image;
mod images;
mod logs;
mod members;
mod ports;
mod proxy;
mod registry;
mod running;
mod shared;
mod volumes;
