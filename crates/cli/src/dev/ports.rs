//! Whether the members' ports are free, and who holds one that is not.

use std::path::Path;

use seawall_env::{Env, net::grpc::Listener};

use super::{
    layout::Layout,
    proc::{self, Holder},
};
use crate::failure::Failure;

/// How far away the port is that is proposed instead.
const OTHER_PORT_STEP: u16 = 100;

/// Refuses where a port is taken, and says by whom.
pub async fn check(env: &Env, layout: &Layout) -> Result<(), Failure> {
    for (port, peer_port) in layout.ports() {
        for port in [port, peer_port] {
            match Listener::bind(&format!("127.0.0.1:{port}")).await {
                Ok(_free) => {}
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                    let other = layout.port.saturating_add(OTHER_PORT_STEP);
                    return Err(taken(port, other, proc::holder_of(env, port).as_ref()));
                }
                Err(error) => return Err(Failure::refused(format!("port {port}: {error}"))),
            }
        }
    }
    Ok(())
}

fn taken(port: u16, other: u16, holder: Option<&Holder>) -> Failure {
    let other = format!("--port {other}, or another free one");
    match (holder, holder.and_then(dev_of)) {
        (Some(holder), Some(folder)) => {
            let what =
                format!("port {port} is in use by seawall dev on {folder} (pid {}): it runs already", holder.pid);
            Failure::refused(what).next(format!("seawall status; {other}, with another --data-dir, for a second dev"))
        }
        (Some(Holder { name, pid, .. }), None) => {
            Failure::refused(format!("port {port} is in use by {name} (pid {pid})")).next(other)
        }
        (None, _) => Failure::refused(format!("port {port} is in use by another user's process")).next(other),
    }
}

/// The folder of the dev that a member belongs to; `None` for any other process.
fn dev_of(holder: &Holder) -> Option<String> {
    let value = |flag: &str| holder.words.iter().find_map(|word| word.strip_prefix(flag));
    let is_child = holder.words.get(1)? == "server" && holder.words.iter().any(|word| word == "--lifeline");
    let member = Path::new(value("--data-dir=").filter(|_| is_child)?);
    Some(member.parent()?.parent()?.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(line: &str) -> Holder {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Holder { pid: 7, name: words[0].clone(), words }
    }

    #[test]
    fn a_taken_port_says_by_whom() {
        let ours = holder("seawall server --name=a --data-dir=/home/x/dev/members/a --lifeline");
        let by_other = holder("nginx -g daemon");
        let texts = [
            taken(7400, 7500, Some(&ours)).to_string(),
            taken(7400, 7500, Some(&by_other)).to_string(),
            taken(7400, 7500, None).to_string(),
        ];
        insta::assert_snapshot!(texts.join("\n"), @r"
        port 7400 is in use by seawall dev on /home/x/dev (pid 7): it runs already. next: seawall status; --port 7500, or another free one, with another --data-dir, for a second dev
        port 7400 is in use by nginx (pid 7). next: --port 7500, or another free one
        port 7400 is in use by another user's process. next: --port 7500, or another free one
        ");
    }
}
