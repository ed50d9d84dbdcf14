//! What was said last: trouble that lasts is logged when it begins and when it changes, not each time it is met.

use std::collections::BTreeMap;

/// The last trouble of each thing.
#[derive(Default)]
pub(crate) struct News(BTreeMap<String, String>);

impl News {
    /// Whether `trouble` is not what was last said of `what`.
    pub(crate) fn is_new(&mut self, what: &str, trouble: &str) -> bool {
        self.0.insert(what.to_owned(), trouble.to_owned()).is_none_or(|last| last != trouble)
    }

    /// All is well with `what`: the same trouble would be new again.
    pub(crate) fn over(&mut self, what: &str) {
        self.0.remove(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_new_again_only_after_it_was_over() {
        let mut news = News::default();
        assert!(news.is_new("s1", "full"));
        assert!(!news.is_new("s1", "full"));
        assert!(news.is_new("s2", "full"));
        assert!(news.is_new("s1", "cut"));
        news.over("s1");
        assert!(news.is_new("s1", "cut"));
    }
}
