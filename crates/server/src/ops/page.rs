//! Pages of a list. A token says where the page before ended, so every member continues it, also after a failover; and it is
//! bound to the list it came from: with other filters it would silently skip what it should show.

use ring::digest::{SHA256, digest};
use seawall_model::ApiError;
use seawall_state::HistoryKey;

/// Items of a page unless the request says otherwise, for most lists.
pub const PAGE: usize = 100;
/// Items of a page of ListServices unless the request says otherwise.
pub const SERVICES_PAGE: usize = 10;
/// Items of a page of ListServiceDeployments unless the request says otherwise.
pub const SERVICE_DEPLOYMENTS_PAGE: usize = 20;
/// The most that a request may ask for.
const PAGE_MAX: i32 = 100;
/// Bytes of the filter's digest in a token.
const DIGEST_BYTES: usize = 8;

/// The most that a request may ask for of account settings and of capacity providers.
const SMALL_PAGE_MAX: i32 = 10;

/// Holds the size of a page of account settings or capacity providers against ECS's limit, which is smaller than others'.
///
/// # Errors
/// `InvalidParameterException`
pub fn check_small(max_results: Option<i32>) -> Result<(), ApiError> {
    match max_results {
        Some(n) if n > SMALL_PAGE_MAX => {
            Err(ApiError::invalid(format!("maxResults is {n}; it must be between 1 and {SMALL_PAGE_MAX}.")))
        }
        _ => Ok(()),
    }
}

/// Which page a request asks for.
#[derive(Debug)]
pub struct Page {
    limit: usize,
    digest: [u8; DIGEST_BYTES],
    /// Key of the last item of the page before.
    after: Option<Vec<u8>>,
}

impl Page {
    /// Of a list made by `filters`: the operation's name and everything but the page that the request asks for.
    ///
    /// # Errors
    /// `InvalidParameterException` for a token of another list, or a size out of range.
    pub fn new(
        filters: &[&str],
        next_token: Option<&str>,
        max_results: Option<i32>,
        default: usize,
    ) -> Result<Self, ApiError> {
        let limit = match max_results {
            None | Some(0) => default,
            Some(n @ 1..=PAGE_MAX) => n as usize,
            Some(n) => {
                return Err(ApiError::invalid(format!("maxResults is {n}; it must be between 1 and {PAGE_MAX}.")));
            }
        };
        let digest = digest_of(filters);
        let after = match next_token.filter(|t| !t.is_empty()) {
            None => None,
            Some(token) => Some(open(token, digest).ok_or_else(|| {
                ApiError::invalid("Invalid token: nextToken does not come from this list with these filters.")
            })?),
        };
        Ok(Page { limit, digest, after })
    }

    /// Where the page before ended.
    pub fn after(&self) -> Option<&[u8]> {
        self.after.as_deref()
    }

    /// How many items are asked for.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// A token that goes on after `key`.
    pub fn token(&self, key: &[u8]) -> String {
        seal(self.digest, key)
    }

    /// The page and the token of the next one. `items` come in the order of their keys: rising, or falling where
    /// `descending`.
    pub fn take<T>(&self, items: impl Iterator<Item = (Vec<u8>, T)>, descending: bool) -> (Vec<T>, Option<String>) {
        let after = self.after.as_deref();
        let is_next = |key: &[u8]| after.is_none_or(|last| if descending { key < last } else { key > last });
        let mut page = Vec::new();
        let mut last = Vec::new();
        for (key, item) in items.filter(|(key, _)| is_next(key)) {
            if page.len() == self.limit {
                return (page, Some(seal(self.digest, &last)));
            }
            page.push(item);
            last = key;
        }
        (page, None)
    }
}

/// The key of a place in history, for lists that go on there. Shorter than the key of any row.
pub fn key_of_history((index, ordinal): HistoryKey) -> Vec<u8> {
    [&index.to_be_bytes()[..], &ordinal.to_be_bytes()].concat()
}

/// The place in history that a key stands for; `None` for the key of a row.
pub fn history_key(key: &[u8]) -> Option<HistoryKey> {
    let (index, ordinal) = key.split_first_chunk()?;
    Some((u64::from_be_bytes(*index), u32::from_be_bytes(ordinal.try_into().ok()?)))
}

fn digest_of(filters: &[&str]) -> [u8; DIGEST_BYTES] {
    let mut bytes = Vec::new();
    for filter in filters {
        bytes.extend_from_slice(&(filter.len() as u64).to_be_bytes());
        bytes.extend_from_slice(filter.as_bytes());
    }
    let mut short = [0; DIGEST_BYTES];
    short.copy_from_slice(&digest(&SHA256, &bytes).as_ref()[..DIGEST_BYTES]);
    short
}

fn seal(digest: [u8; DIGEST_BYTES], key: &[u8]) -> String {
    digest.iter().chain(key).map(|byte| format!("{byte:02x}")).collect()
}

fn open(token: &str, digest: [u8; DIGEST_BYTES]) -> Option<Vec<u8>> {
    if !token.is_ascii() || !token.len().is_multiple_of(2) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(token.get(at..at + 2)?, 16).ok();
    let bytes: Vec<u8> = (0..token.len()).step_by(2).map(byte).collect::<Option<_>>()?;
    bytes.strip_prefix(&digest).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(count: u16) -> impl DoubleEndedIterator<Item = (Vec<u8>, u16)> {
        (0..count).map(|n| (n.to_be_bytes().to_vec(), n))
    }

    fn walk(count: u16, size: i32, descending: bool) -> Vec<u16> {
        let (mut all, mut token) = (Vec::new(), None);
        loop {
            let page = Page::new(&["List"], token.as_deref(), Some(size), PAGE).unwrap();
            let (items, next) =
                if descending { page.take(keys(count).rev(), true) } else { page.take(keys(count), false) };
            assert!(items.len() <= size as usize);
            all.extend(items);
            token = next;
            if token.is_none() {
                return all;
            }
        }
    }

    proptest! {
        #[test]
        fn every_item_comes_exactly_once(count in 0u16..400, size in 1i32..=100, descending: bool) {
            let mut expected: Vec<u16> = (0..count).collect();
            if descending {
                expected.reverse();
            }
            prop_assert_eq!(walk(count, size, descending), expected);
        }

        #[test]
        fn rubbish_is_never_a_token(token in "\\PC{1,40}") {
            prop_assert!(Page::new(&["List"], Some(&token), None, PAGE).is_err());
        }
    }

    #[test]
    fn a_token_is_bound_to_its_list() {
        let (_, token) = Page::new(&["ListTasks", "a"], None, Some(1), PAGE).unwrap().take(keys(2), false);
        assert!(Page::new(&["ListTasks", "a"], token.as_deref(), Some(1), PAGE).is_ok());
        for other in [&["ListTasks", "b"][..], &["ListTasksa"], &["ListTasks"]] {
            let error = Page::new(other, token.as_deref(), Some(1), PAGE).unwrap_err();
            assert_eq!(error.message, "Invalid token: nextToken does not come from this list with these filters.");
        }
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        let error = Page::new(&[], None, Some(101), PAGE).unwrap_err();
        assert_eq!(error.message, "maxResults is 101; it must be between 1 and 100.");
        assert!(Page::new(&[], None, Some(-1), PAGE).is_err());
    }
}
