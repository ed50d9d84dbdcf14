//! Access keys, from the first one on: who must sign, and who need not.

mod support;

use std::process::Command;

use support::{Dev, Ended, Guard, program, run, until};

/// A key as `access-key create` prints it.
struct Key {
    id: String,
    secret: String,
}

impl Key {
    fn of(printed: &str) -> Key {
        let value = |name: &str| {
            let line = printed.lines().find_map(|line| line.strip_prefix(&format!("export {name}=")));
            line.unwrap_or_else(|| panic!("no {name} in {printed}")).to_owned()
        };
        Key { id: value("AWS_ACCESS_KEY_ID"), secret: value("AWS_SECRET_ACCESS_KEY") }
    }

    fn signs(&self, mut command: Command) -> Ended {
        command.env("AWS_ACCESS_KEY_ID", &self.id).env("AWS_SECRET_ACCESS_KEY", &self.secret);
        run(command)
    }
}

#[test]
fn the_first_key_closes_the_ports_and_the_socket_stays_open() {
    let mut dev = Dev::ready();
    let socket = format!("unix:{}", dev.folder().join("members/a/seawall.sock").display());
    let over_socket = |words: &[&str]| {
        run({
            let mut command = program();
            command.args(words).args(["--addr", &socket]);
            command
        })
    };
    assert!(dev.run(&["access-key", "ls"]).stderr.contains("no access keys: any signature is accepted"));
    let printed = over_socket(&["access-key", "create", "--description", "ci"]).ok();
    let key = Key::of(&printed);
    assert_eq!((key.id.len(), key.secret.len()), (20, 40), "{printed}");

    let refused = until("every member knows the key", || {
        let ended = dev.run(&["cluster", "ls"]);
        if ended.code == 1 { Ok(ended.refused(1)) } else { Err(format!("{ended:?}")) }
    });
    assert!(refused.contains(" takes signed calls only, and there is no access key to sign with. next: "), "{refused}");
    assert_eq!(key.signs(dev.command(&["cluster", "ls", "-q"])).ok(), "default\n");
    key.signs(dev.command(&["run", "any", "--name", "web", "--count", "2"])).ok();
    let stream = key.signs(dev.command(&["events", "web"])).ok();
    assert!(stream.contains("has reached a steady state"), "{stream}");
    let listed = over_socket(&["access-key", "ls", "-o", "json"]).json();
    assert_eq!(listed["keys"][0]["id"], key.id.as_str());
    assert_eq!(listed["keys"][0]["createdBy"], "local-socket");
    assert!(!listed.to_string().contains(&key.secret));

    let guess = Key { id: key.id.clone(), secret: "guess".into() };
    let refused = guess.signs(dev.command(&["cluster", "ls"])).refused(1);
    let shown = format!("AKIA…{}", &key.id[18..]);
    assert!(refused.starts_with(&format!("signature does not match for key {shown}: the secret is not this key's")));

    over_socket(&["access-key", "off", &key.id]).ok();
    until("every member knows that the key is off", || {
        let ended = key.signs(dev.command(&["cluster", "ls"]));
        let told = format!("access key {shown} is unknown, off or expired. next: ");
        if ended.stderr.starts_with(&told) { Ok(()) } else { Err(format!("{ended:?}")) }
    });
    over_socket(&["access-key", "on", &key.id]).ok();
    assert_eq!(key.signs(dev.command(&["cluster", "ls", "-q"])).ok(), "default\n");

    // dev needs no key: it asks over the sockets.
    dev.run(&["zone", "kill", "b"]).ok();
    dev.run(&["zone", "return", "b"]).ok();
    assert_eq!(dev.end("INT"), Some(0));
    let port = dev.port().to_string();
    dev.start(&["--runtime", "fake", "--port", &port]);
    until("dev says that keys exist", || {
        let said = dev.said();
        if said.contains("access keys exist: clients sign") { Ok(()) } else { Err(said) }
    });
    assert_eq!(key.signs(dev.command(&["cluster", "ls", "-q"])).ok(), "default\n");

    let told = over_socket(&["access-key", "rm", &key.id, "--yes"]).ok();
    assert!(told.contains("no access key is left"), "{told}");
    until("the ports are open again", || {
        let ended = dev.run(&["cluster", "ls", "-q"]);
        if ended.code == 0 { Ok(()) } else { Err(format!("{ended:?}")) }
    });
}

#[test]
fn half_a_key_is_a_wrong_setting() {
    let mut command = program();
    command.args(["cluster", "ls"]).env("SEAWALL_ACCESS_KEY_ID", "AKIA");
    let refused = run(command).refused(2);
    assert!(refused.starts_with("SEAWALL_ACCESS_KEY_ID is set, SEAWALL_SECRET_ACCESS_KEY is not"), "{refused}");
}

#[test]
fn an_address_that_others_reach_serves_no_client_until_a_key_exists() {
    let dev = Dev::new();
    let listen = format!("0.0.0.0:{}", dev.port());
    let mut secret = program();
    secret.args(["secret", "new"]).arg(dev.folder().join("secret"));
    run(secret).ok();
    let mut server = program();
    server.args(["server", "--name", "s1", "--zone", "a", "--listen", &listen, "--advertise"]);
    server.arg(format!("127.0.0.1:{}", dev.port())).arg("--peer-listen").arg(format!("127.0.0.1:{}", dev.port() + 1));
    server.arg("--data-dir").arg(dev.folder().join("s1")).arg("--secret-file").arg(dev.folder().join("secret"));
    server.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let _server = Guard(server.spawn().unwrap());

    let asks = |address: String| {
        let mut command = program();
        command.args(["cluster", "ls", "-q", "--addr", &address]);
        command
    };
    let port = || asks(format!("127.0.0.1:{}", dev.port()));
    let want = format!("refusing clients on {listen} without access keys. next: seawall access-key create");
    until("the member serves, and refuses", || {
        let ended = run(port());
        if ended.stderr.starts_with(&want) { Ok(()) } else { Err(format!("{ended:?}")) }
    });
    let socket = format!("unix:{}", dev.folder().join("s1/seawall.sock").display());
    assert_eq!(run(asks(socket.clone())).ok(), "default\n");
    let mut create = program();
    create.args(["access-key", "create", "--addr", &socket]);
    let key = Key::of(&run(create).ok());
    assert_eq!(key.signs(port()).ok(), "default\n");
}
