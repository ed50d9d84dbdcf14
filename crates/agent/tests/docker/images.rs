//! Images: from a registry, from this machine, and from nowhere.

use std::time::Duration;

use bollard::query_parameters::{RemoveImageOptions, TagImageOptions};
use seawall_agent::{
    ImagePull,
    runtime::{Fault, Runtime, docker::DockerRuntime},
};
use seawall_proto::{internal::v1::StopCode, v1::ContainerDefinition};

use crate::{ground::Ground, registry::Registry};

/// A registry that does not answer may cost this much where a local copy is at hand.
const BEGIN_MAX: Duration = Duration::from_secs(8);

async fn tag(ground: &mut Ground, name: &str) {
    let (repo, tag) = name.rsplit_once(':').unwrap();
    let options = TagImageOptions { repo: Some(repo.into()), tag: Some(tag.into()) };
    ground.docker.tag_image(&ground.image, Some(options)).await.unwrap();
    ground.images.push(name.to_owned());
}

async fn remove(ground: &Ground, name: &str) {
    let options = RemoveImageOptions { force: true, ..Default::default() };
    ground.docker.remove_image(name, Some(options), None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_and_its_digest_reported() {
    let Some(mut ground) = Ground::new().await else { return };
    let registry = Registry::serve(&ground.docker, &ground.image).await;
    let image = format!("{}/team/{}", registry.address, ground.image);
    ground.images.push(image.clone());
    let app = ContainerDefinition { image: Some(image.clone()), ..ground.sleeper("app") };
    let runs = ground.running(ground.run(vec![app])).await;
    let digest = runs.containers[0].image_digest.clone();
    assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
    assert!(registry.asked() > 0);

    let pull = async |runtime: &DockerRuntime, policy| runtime.pull(&image, policy).await.unwrap();
    let asks = async |runtime: &DockerRuntime, policy| {
        let before = registry.asked();
        assert_eq!(pull(runtime, policy).await, Some(digest.clone()), "{policy:?}");
        registry.asked() > before
    };
    assert!(asks(&ground.runtime, ImagePull::Default).await, "a moved tag is looked for");
    assert!(asks(&ground.runtime, ImagePull::Always).await);
    assert!(!asks(&ground.runtime, ImagePull::PreferCached).await);
    assert!(!asks(&ground.runtime, ImagePull::Once).await, "this agent has pulled it");
    let another = DockerRuntime::connect(ground.env.clone(), &ground.config).await.unwrap();
    assert!(asks(&another, ImagePull::Once).await);
    assert!(!asks(&another, ImagePull::Once).await);
    let by_digest = format!("{}@{digest}", image.rsplit_once(':').unwrap().0);
    assert_eq!(ground.runtime.pull(&by_digest, ImagePull::Default).await.unwrap(), Some(digest.clone()));

    drop(registry);
    let taken = ground.runtime.pull(&image, ImagePull::Default).await.unwrap();
    assert_eq!(taken, Some(digest), "the local copy");
    let error = ground.runtime.pull(&image, ImagePull::Always).await.unwrap_err();
    assert_eq!(error.fault, Fault::Pull);
    assert!(error.to_string().starts_with("CannotPullContainerError: "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_does_not_answer_costs_seconds_where_there_is_a_copy() {
    let Some(mut ground) = Ground::new().await else { return };
    let registry = Registry::mute().await;
    let image = format!("{}/app:1", registry.address);
    tag(&mut ground, &image).await;
    let began = ground.env.now();
    let tasks: Vec<_> = (0..5)
        .map(|_| ground.run(vec![ContainerDefinition { image: Some(image.clone()), ..ground.sleeper("app") }]))
        .collect();
    for task in tasks {
        ground.running(task).await;
    }
    let took = ground.env.now() - began;
    assert!((Duration::from_secs(4)..BEGIN_MAX).contains(&took), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_made_here_is_asked_for_nowhere() {
    let Some(ground) = Ground::new().await else { return };
    for policy in [ImagePull::Default, ImagePull::PreferCached] {
        assert_eq!(ground.runtime.pull(&ground.image, policy).await.unwrap(), None, "it has no digest");
    }
    let error = ground.runtime.pull(&ground.image, ImagePull::Always).await.unwrap_err();
    assert_eq!(error.fault, Fault::Pull);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_does_not_exist_fails_the_task() {
    let Some(ground) = Ground::new().await else { return };
    let missing = format!("{}-missing", ground.image);
    let lacking = |image: &str| ContainerDefinition { image: Some(image.into()), ..ground.sleeper("app") };
    let ended = ground.stopped(ground.run(vec![lacking(&missing)])).await;
    assert_eq!(ended.stop_code(), StopCode::TaskFailedToStart);
    assert!(ended.stopped_reason.starts_with("CannotPullContainerError: "), "{}", ended.stopped_reason);
    assert_eq!(ended.containers[0].reason, ended.stopped_reason);
    let ended = ground.stopped(ground.run(vec![lacking("../containers/json")])).await;
    assert_eq!(ended.stopped_reason, "CannotPullContainerError: invalid reference format: \"../containers/json\"");
    assert!(ground.containers().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_removed_between_its_pull_and_its_use_is_pulled_again() {
    let Some(mut ground) = Ground::new().await else { return };
    let registry = Registry::serve(&ground.docker, &ground.image).await;
    let image = format!("{}/team/{}", registry.address, ground.image);
    ground.images.push(image.clone());
    let app = || ContainerDefinition { image: Some(image.clone()), ..ground.shell("app", "exit 0") };
    let ended = ground.stopped(ground.run(vec![app()])).await;
    assert_eq!(ended.containers[0].exit_code, Some(0));
    // The agent's memory of the pull is fresh.
    let before = registry.asked();
    remove(&ground, &image).await;
    let ended = ground.stopped(ground.run(vec![app()])).await;
    assert_eq!(ended.containers[0].exit_code, Some(0), "{}", ended.stopped_reason);
    assert!(registry.asked() > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_registry_is_shown_the_operators_credentials() {
    let Some(mut ground) = Ground::new().await else { return };
    // "me:secret"
    let secret = "bWU6c2VjcmV0";
    let registry = Registry::serve_to(&ground.docker, &ground.image, secret).await;
    let image = format!("{}/team/{}", registry.address, ground.image);
    ground.images.push(image.clone());
    let file = ground.folder.path().join("docker.json");
    let with = async |text: String| {
        std::fs::write(&file, text).unwrap();
        let mut config = ground.config.clone();
        config.registry_config = Some(file.clone());
        let runtime = DockerRuntime::connect(ground.env.clone(), &config).await.unwrap();
        runtime.pull(&image, ImagePull::Default).await
    };
    let error = with("{}".into()).await.unwrap_err();
    assert_eq!(error.fault, Fault::Pull, "{error}");
    let auths = |secret: &str| format!(r#"{{"auths": {{"{}": {{"auth": "{secret}"}}}}}}"#, registry.address);
    with(auths("bWU6d3Jvbmc=")).await.unwrap_err();
    assert!(with(auths(secret)).await.unwrap().is_some());
    remove(&ground, &image).await;

    let store = |name: &str| format!(r#"{{"credHelpers": {{"{}": "{name}"}}}}"#, registry.address);
    let missing = with(store("nowhere")).await.unwrap_err();
    assert!(missing.message.starts_with("docker-credential-nowhere get: "), "{missing}");
    let error = with("{".into()).await.unwrap_err();
    assert!(error.message.starts_with(&file.display().to_string()), "{error}");
}
