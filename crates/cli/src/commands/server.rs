//! `seawall server`: one member.

use std::path::PathBuf;

use seawall_env::Env;
use seawall_server::{Fargate, ServerConfig, ServerError, TlsMode};

use crate::{
    args::{FargateBy, ServerArgs},
    failure::{Exit, Failure},
    process,
};

pub async fn run(env: &Env, args: ServerArgs) -> Result<(), Failure> {
    process::start_logging(&args.log)?;
    let shutdown = process::shutdown(env, &args.log)?;
    let config = config(args)?;
    seawall_server::run(env.clone(), config, shutdown).await.map_err(failure)
}

fn failure(error: ServerError) -> Failure {
    let exit = if matches!(error, ServerError::Config(_)) { Exit::Usage } else { Exit::Refused };
    Failure::new(exit, error.to_string())
}

fn config(args: ServerArgs) -> Result<ServerConfig, Failure> {
    let tls = tls(&args.tls)?;
    Ok(ServerConfig {
        listen: args.listen,
        peer_listen: args.peer_listen,
        advertise: args.advertise,
        peer_advertise: args.peer_advertise,
        join: args.join,
        expect: args.expect,
        region: args.region,
        account: args.account,
        tls,
        insecure: args.insecure,
        heartbeat_ms: args.heartbeat_ms,
        election_min_ms: args.election_min_ms,
        election_max_ms: args.election_max_ms,
        lease_ms: args.lease_ms,
        beat_ms: args.beat_ms,
        forget_after: args.forget_after,
        accept_inert: args.accept_inert,
        fargate: match args.fargate {
            FargateBy::Instances => Fargate::Instances,
            FargateBy::Pool => Fargate::Pool,
            FargateBy::Refuse => Fargate::Refuse,
        },
        mass_loss_hold: args.mass_loss_hold,
        moves_per_minute: args.moves_per_minute,
        disk_reserve_bytes: args.disk_reserve_mib << 20,
        ..ServerConfig::new(&args.name, &args.zone, args.data_dir, args.secret_file)
    })
}

fn tls(text: &str) -> Result<TlsMode, Failure> {
    match (text, text.split_once(',')) {
        ("auto", _) => Ok(TlsMode::Auto),
        (_, Some((certificate, key))) => Ok(TlsMode::Files(PathBuf::from(certificate), PathBuf::from(key))),
        _ => Err(Failure::usage(format!("--tls {text:?}: use auto, or CERT,KEY (two PEM files)"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_a_word_or_two_files() {
        assert_eq!(tls("auto").unwrap(), TlsMode::Auto);
        assert_eq!(tls("c.pem,k.pem").unwrap(), TlsMode::Files("c.pem".into(), "k.pem".into()));
        assert_eq!(tls("off").unwrap_err().exit, Exit::Usage);
    }
}
