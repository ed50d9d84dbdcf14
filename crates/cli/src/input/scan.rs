//! A small pass over JSON that keeps lines, so that a mistake in a file can be pointed at.

use std::collections::BTreeMap;

/// Deeper nesting is refused: it is no definition, and the pass calls itself.
const DEPTH_MAX: usize = 64;

/// Lines of the values of a document, by path (`containerDefinitions[0].memory`).
#[derive(Debug, Default)]
pub struct Lines(BTreeMap<String, usize>);

impl Lines {
    /// The line of the member or element at `path`.
    pub fn of(&self, path: &str) -> usize {
        self.0.get(path).copied().unwrap_or(1)
    }
}

/// What is wrong with a document that is no JSON, or says a thing twice.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    /// Where.
    pub line: usize,
    /// What.
    pub what: String,
}

/// Finds the line of every value. `text` must be JSON already, except that members may appear twice.
pub fn lines(text: &str) -> Result<Lines, Broken> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0, line: 1, found: Lines::default() };
    scan.value("", 0)?;
    Ok(scan.found)
}

/// The path of a member of the object at `path`.
pub fn member(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The path of an element of the list at `path`.
pub fn element(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    found: Lines,
}

impl Scan<'_> {
    fn value(&mut self, path: &str, depth: usize) -> Result<(), Broken> {
        if depth > DEPTH_MAX {
            return Err(self.broken(format!("nested deeper than {DEPTH_MAX}")));
        }
        match self.peek() {
            Some(b'{') => self.object(path, depth),
            Some(b'[') => self.list(path, depth),
            Some(b'"') => self.string().map(|_| ()),
            Some(_) => {
                self.scalar();
                Ok(())
            }
            None => Err(self.broken("the document ends too early".into())),
        }
    }

    fn object(&mut self, path: &str, depth: usize) -> Result<(), Broken> {
        self.at += 1;
        while self.peek() == Some(b'"') {
            let line = self.line;
            let name = member(path, &self.string()?);
            if let Some(first) = self.found.0.insert(name.clone(), line) {
                return Err(Broken { line, what: format!("{name} stands on line {first} already") });
            }
            self.expect(b':')?;
            self.value(&name, depth + 1)?;
            if self.peek() != Some(b',') {
                break;
            }
            self.at += 1;
        }
        self.expect(b'}')
    }

    fn list(&mut self, path: &str, depth: usize) -> Result<(), Broken> {
        self.at += 1;
        let mut index = 0;
        while self.peek() != Some(b']') {
            let name = element(path, index);
            self.found.0.insert(name.clone(), self.line);
            self.value(&name, depth + 1)?;
            index += 1;
            if self.peek() != Some(b',') {
                break;
            }
            self.at += 1;
        }
        self.expect(b']')
    }

    fn string(&mut self) -> Result<String, Broken> {
        let start = self.at;
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'"' => {
                    let text = self.bytes.get(start..self.at).unwrap_or_default();
                    return serde_json::from_slice(text).map_err(|e| self.broken(e.to_string()));
                }
                _ => {}
            }
        }
        Err(self.broken("a string has no end".into()))
    }

    fn scalar(&mut self) {
        while self.bytes.get(self.at).is_some_and(|b| !b",]}\n\r\t ".contains(b)) {
            self.at += 1;
        }
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            if !byte.is_ascii_whitespace() {
                return Some(byte);
            }
            self.line += usize::from(byte == b'\n');
            self.at += 1;
        }
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Broken> {
        if self.peek() == Some(wanted) {
            self.at += 1;
            return Ok(());
        }
        Err(self.broken(format!("expected {:?}", char::from(wanted))))
    }

    fn broken(&self, what: String) -> Broken {
        Broken { line: self.line, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_value_has_its_line() {
        let text = "{\n  \"a\": [\n    {\"b\": 1,\n     \"c\": \"x\\\"}\"},\n    2\n  ],\n  \"d\": {}\n}\n";
        let lines = lines(text).unwrap();
        assert_eq!(lines.of("a"), 2);
        assert_eq!(lines.of("a[0].b"), 3);
        assert_eq!(lines.of("a[0].c"), 4);
        assert_eq!(lines.of("a[1]"), 5);
        assert_eq!(lines.of("d"), 7);
    }

    #[test]
    fn a_member_that_stands_twice_is_refused() {
        let broken = lines("{\"a\": 1,\n\"a\": 2}").unwrap_err();
        assert_eq!(broken, Broken { line: 2, what: "a stands on line 1 already".into() });
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert!(lines(&deep).unwrap_err().what.contains("deeper"));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[\\[\\]{}\",:a\\\\\n 0-9]{0,60}") {
            let _ = lines(&text);
        }
    }
}
