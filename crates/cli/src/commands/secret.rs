//! `seawall secret new`.

use std::{io::ErrorKind, path::Path};

use rustix::{fs::Mode, io::Errno};
use seawall_env::net::trust::{SECRET_BYTES, Secret, TrustError};

use crate::{args::SecretCommand, context::Context, failure::Failure, output};

/// Runs `seawall secret …`.
pub fn run(ctx: &Context, command: SecretCommand) -> Result<(), Failure> {
    let SecretCommand::New { file } = command;
    create(ctx, &file)?;
    output::say(&file.display().to_string())
}

/// Makes a secret where there is none.
pub fn create(ctx: &Context, file: &Path) -> Result<(), Failure> {
    make_folder(file)?;
    Secret::generate(&ctx.env).write(file).map_err(|error| match error {
        TrustError::SecretFile { source, .. } if source.kind() == ErrorKind::AlreadyExists => exists(ctx, file),
        TrustError::SecretFile { source, .. } => Failure::refused(format!("{}: {source}", file.display())),
        error => Failure::refused(error.to_string()),
    })
}

/// Makes the folder of `file`, such as /etc/seawall, for its owner alone. If more than that one is missing, the name is more
/// likely a slip of the pen.
fn make_folder(file: &Path) -> Result<(), Failure> {
    let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    match rustix::fs::mkdir(folder, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => {
            let shown = folder.display();
            Err(Failure::refused(format!("cannot make the folder {shown}: {error}")).next(format!("mkdir -p {shown}")))
        }
    }
}

/// A file that is there stays. What is no secret, such as an empty one, must go first: no server starts with it.
fn exists(ctx: &Context, file: &Path) -> Failure {
    let shown = file.display();
    match ctx.env.fs().read(file) {
        Ok(Some(bytes)) if bytes.len() != SECRET_BYTES => {
            let what = format!("{shown}: exists already and holds {} bytes, which is no secret", bytes.len());
            Failure::refused(what).next(format!("remove it, then seawall secret new {shown}"))
        }
        _ => Failure::refused(format!("{shown}: exists already, and a cluster may depend on it"))
            .next("give another name"),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use clap::Parser as _;

    use super::*;
    use crate::{args::Cli, context};

    fn new(file: &Path) -> Result<(), Failure> {
        let cli = Cli::try_parse_from(["seawall", "version"]).unwrap();
        create(&Context::new(context::env_without_links(), cli.global), file)
    }

    #[tokio::test]
    async fn a_secret_gets_its_folder_and_is_never_replaced() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("etc/secret");
        assert_eq!(new(&file), Ok(()));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        let before = fs::read(&file).unwrap();
        assert_eq!(before.len(), SECRET_BYTES);
        assert!(new(&file).unwrap_err().what.ends_with("exists already, and a cluster may depend on it"));
        assert_eq!(fs::read(&file).unwrap(), before);
    }

    #[tokio::test]
    async fn what_is_no_secret_is_removed_first() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("secret");
        fs::write(&file, "").unwrap();
        let refused = new(&file).unwrap_err();
        assert!(refused.what.ends_with("exists already and holds 0 bytes, which is no secret"), "{refused}");
        assert!(refused.next.unwrap().starts_with("remove it, then seawall secret new "));
    }

    #[tokio::test]
    async fn two_missing_folders_are_not_made() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a/b/secret");
        let refused = new(&file).unwrap_err();
        let folder = file.parent().unwrap().display();
        assert_eq!(refused.what, format!("cannot make the folder {folder}: No such file or directory (os error 2)"));
        assert_eq!(refused.next, Some(format!("mkdir -p {folder}")));
        assert!(!home.path().join("a").exists());
    }
}
