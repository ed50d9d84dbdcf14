//! Names of images. Pure.

/// Where an image without a registry comes from.
const HUB: &str = "docker.io";
/// What the hub calls images of nobody.
const LIBRARY: &str = "library/";
const DEFAULT_TAG: &str = "latest";

/// A name, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    /// Without tag and digest, as it was written.
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// `None` where the text cannot name an image: it becomes part of a path.
    pub fn parse(text: &str) -> Option<Self> {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
        if text.is_empty() || !text.chars().all(is_fine) || text.contains("..") || text.starts_with('/') {
            return None;
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.to_owned())),
            None => (text, None),
        };
        // A colon before a slash is the port of a registry.
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag.to_owned())),
            _ => (name, None),
        };
        (!repository.is_empty()).then(|| Reference { repository: repository.to_owned(), tag, digest })
    }

    /// What is pulled: one image, never all tags of a repository.
    pub fn to_pull(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => format!("{}@{digest}", self.repository),
            (None, Some(tag)) => format!("{}:{tag}", self.repository),
            (None, None) => format!("{}:{DEFAULT_TAG}", self.repository),
        }
    }

    /// Whether it says which registry it is from.
    pub fn names_a_registry(&self) -> bool {
        self.registry().is_some()
    }

    /// The registry that it is from.
    pub fn registry_or_hub(&self) -> String {
        self.registry().map_or_else(|| HUB.to_owned(), str::to_owned)
    }

    /// Of an image's `repository@digest` entries the digest under which it came from here.
    pub fn digest_among(&self, entries: &[String]) -> Option<String> {
        let of = |entry: &String| {
            let (repository, digest) = entry.split_once('@')?;
            let same = Reference::parse(repository)?.full_repository() == self.full_repository();
            same.then(|| digest.to_owned())
        };
        entries.iter().find_map(of)
    }

    /// The first part is a registry where it looks like a host.
    fn registry(&self) -> Option<&str> {
        let (first, _) = self.repository.split_once('/')?;
        (first.contains(['.', ':']) || first == "localhost").then_some(first)
    }

    fn full_repository(&self) -> String {
        let (registry, path) = match self.registry() {
            Some(registry) => (registry, &self.repository[registry.len() + 1..]),
            None => (HUB, self.repository.as_str()),
        };
        let registry = if registry == "index.docker.io" { HUB } else { registry };
        let library = if registry == HUB && !path.contains('/') { LIBRARY } else { "" };
        format!("{registry}/{library}{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Reference {
        Reference::parse(text).unwrap()
    }

    #[test]
    fn one_image_is_pulled_and_not_all_tags() {
        assert_eq!(parse("nginx").to_pull(), "nginx:latest");
        assert_eq!(parse("nginx:1.27").to_pull(), "nginx:1.27");
        assert_eq!(parse("host:5000/a/b").to_pull(), "host:5000/a/b:latest");
        assert_eq!(parse("host:5000/a/b:c").to_pull(), "host:5000/a/b:c");
        assert_eq!(parse("nginx:1.27@sha256:abc").to_pull(), "nginx@sha256:abc");
    }

    #[test]
    fn a_registry_looks_like_a_host() {
        for with in ["localhost/x", "host:5000/x", "ghcr.io/o/x:1"] {
            assert!(parse(with).names_a_registry(), "{with}");
        }
        for without in ["x", "x:1", "owner/x"] {
            assert!(!parse(without).names_a_registry(), "{without}");
        }
    }

    #[test]
    fn names_that_would_leave_their_path_are_no_names() {
        for bad in ["", "a b", "a?b", "../containers/x", "a/../b", "/x", "a%2e", ":x"] {
            assert_eq!(Reference::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_digest_is_of_the_repository_it_was_pulled_from() {
        let entries = ["ghcr.io/o/nginx@sha256:1".to_owned(), "nginx@sha256:2".to_owned()];
        assert_eq!(parse("docker.io/library/nginx:1").digest_among(&entries).unwrap(), "sha256:2");
        assert_eq!(parse("ghcr.io/o/nginx").digest_among(&entries).unwrap(), "sha256:1");
        assert_eq!(parse("o/nginx").digest_among(&entries), None);
    }
}
