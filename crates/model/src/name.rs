//! What names may look like, and the nearest one to a name that is wrong.

/// A cluster, service or family: up to 255 letters, digits, hyphens and underscores.
pub fn is_ecs_name(text: &str) -> bool {
    (1..=crate::limits::NAME_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// `^[a-z]{2}(-[a-z]+)+-\d$`: what Terraform's provider takes for a region.
pub fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [first, middle @ .., last] = parts.as_slice() else { return false };
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    first.len() == 2
        && letters(first)
        && !middle.is_empty()
        && middle.iter().all(|part| letters(part))
        && last.len() == 1
        && last.bytes().all(|b| b.is_ascii_digit())
}

/// A zone: 1 to 64 lower-case letters, digits and hyphens.
pub fn is_zone(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// An instance's id: 1 to 128 letters, digits, hyphens, underscores and dots.
pub fn is_instance_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Up to `count` of `names` that are nearest to `wrong`, best first.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let mut ranked: Vec<(usize, &str)> =
        names.into_iter().map(|name| (distance(&wrong.to_lowercase(), &name.to_lowercase()), name)).collect();
    ranked.sort();
    ranked.truncate(count);
    ranked.into_iter().map(|(_, name)| name).collect()
}

/// Edits between two short texts, a swap of neighbours counting as one (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// "AKIA" and 16 upper-case letters and digits, as AWS's own are.
pub fn is_access_key_id(text: &str) -> bool {
    let rest = text.strip_prefix("AKIA");
    rest.is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_what_terraform_accepts() {
        assert!(is_region("us-local-1"));
        assert!(is_region("eu-my-site-9"));
        assert!(!is_region("local-1"));
        assert!(!is_region("us-local-10"));
        assert!(!is_region("US-local-1"));
    }

    #[test]
    fn the_nearest_name_comes_first() {
        assert_eq!(nearest("memroy", ["cpu", "memory", "name"], 1), ["memory"]);
    }
}
