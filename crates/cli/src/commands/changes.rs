//! `NAME=VALUE` and `NAME-` on the command line: what to set, and what to remove.

use crate::failure::Failure;

/// What a command line changes.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Changes {
    /// Names and their values.
    pub set: Vec<(String, String)>,
    /// Names.
    pub removed: Vec<String>,
}

impl Changes {
    /// Reads what was typed.
    pub fn parse(texts: &[String]) -> Result<Changes, Failure> {
        let mut changes = Changes::default();
        for text in texts {
            match (text.split_once('='), text.strip_suffix('-')) {
                (Some((name, value)), _) if !name.is_empty() => changes.set.push((name.to_owned(), value.to_owned())),
                (None, Some(name)) if !name.is_empty() => changes.removed.push(name.to_owned()),
                _ => return Err(Failure::usage(format!("{text:?}: use NAME=VALUE to set and NAME- to remove"))),
            }
        }
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_set_and_removed() {
        let parsed = |text: &str| Changes::parse(&[text.to_owned()]).ok();
        let set = |name: &str, value: &str| {
            Some(Changes { set: vec![(name.to_owned(), value.to_owned())], ..Changes::default() })
        };
        assert_eq!(parsed("rack=r1"), set("rack", "r1"));
        assert_eq!(parsed("rack="), set("rack", ""));
        assert_eq!(parsed("rack=r-"), set("rack", "r-"));
        assert_eq!(parsed("rack-"), Some(Changes { removed: vec!["rack".into()], ..Changes::default() }));
        assert_eq!(["rack", "-", "=r1", "=-"].map(parsed), [const { None }; 4]);
    }
}
