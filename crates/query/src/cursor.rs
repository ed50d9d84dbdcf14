//! A place in the text of an expression: words, values, and what to say of one that is wrong.

use crate::{ParseError, literal::is_in_name};

/// Characters shown of what stands where something else was expected.
const SHOWN_CHARS_MAX: usize = 40;

/// A sign and the word that means the same.
pub type Spelled = (&'static str, &'static str);
/// Both sides hold.
pub const AND: Spelled = ("&&", "and");
/// One side holds.
pub const OR: Spelled = ("||", "or");
/// What follows does not hold.
pub const NOT: Spelled = ("!", "not");

/// Whether a value can stand without quotes.
pub fn is_bare(text: &str) -> bool {
    !text.is_empty() && bare(text) == text && !is_reserved(text)
}

/// Whether a pattern can stand without quotes.
pub fn is_bare_pattern(text: &str) -> bool {
    !text.is_empty() && bare_pattern(text) == text && !is_reserved(text)
}

/// The value without quotes that `text` begins with.
pub fn bare(text: &str) -> &str {
    until(text, |c| c.is_whitespace() || "()[],'\"=!<>~&|".contains(c))
}

/// The pattern without quotes that `text` begins with.
pub fn bare_pattern(text: &str) -> &str {
    let word = until(text, |c| c.is_whitespace() || "()'\"".contains(c));
    let ends = [AND, OR].iter().filter_map(|(sign, _)| word.find(sign)).min();
    &word[..ends.unwrap_or(word.len())]
}

/// The beginning of `text` that has no character that `ends` it.
pub fn until(text: &str, ends: impl Fn(char) -> bool) -> &str {
    &text[..text.find(ends).unwrap_or(text.len())]
}

/// A text for a message.
pub fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("'{}…'", &text[..end]),
        None => format!("'{text}'"),
    }
}

/// A forgotten value would otherwise swallow the word after it.
fn is_reserved(text: &str) -> bool {
    [AND, OR, NOT].iter().any(|(_, word)| text.eq_ignore_ascii_case(word))
}

/// How far an expression is read.
pub struct Cursor<'t> {
    text: &'t str,
    /// Bytes that are read.
    pub at: usize,
}

impl<'t> Cursor<'t> {
    /// The beginning of `text`.
    pub fn new(text: &'t str) -> Self {
        Cursor { text, at: 0 }
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Reads what separates.
    pub fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// The subject, word or name that is next.
    pub fn word(&self) -> &'t str {
        until(self.rest(), |c| !is_in_name(c) && c != ':')
    }

    /// Reads a sign or a word, if one of them is next.
    pub fn takes(&mut self, (sign, word): Spelled) -> bool {
        self.skip_space();
        let length = if self.rest().starts_with(sign) {
            sign.len()
        } else if self.word().eq_ignore_ascii_case(word) {
            word.len()
        } else {
            return false;
        };
        self.at += length;
        true
    }

    /// Reads a value that follows `after`, in quotes or as far as `bare` goes: where its text begins, and its text.
    pub fn value(&mut self, after: &str, bare: fn(&str) -> &str) -> Result<(usize, &'t str), ParseError> {
        self.skip_space();
        if let Some(quote) = self.rest().chars().next().filter(|c| "'\"".contains(*c)) {
            return self.quoted(quote);
        }
        let (from, text) = (self.at, bare(self.rest()));
        if is_reserved(text) {
            return Err(self.expected(&format!("a value after '{after}' (the word itself stands in quotes)")));
        }
        if text.is_empty() {
            return Err(self.expected(&format!("a value after '{after}'")));
        }
        self.at += text.len();
        Ok((from, text))
    }

    fn quoted(&mut self, quote: char) -> Result<(usize, &'t str), ParseError> {
        let (from, inner) = (self.at + 1, &self.rest()[1..]);
        let end = inner.find(quote).ok_or_else(|| self.error(self.at, format!("this {quote} is never closed")))?;
        self.at = from + end + 1;
        Ok((from, &inner[..end]))
    }

    /// What is wrong at a byte of the text.
    pub fn error(&self, at: usize, message: String) -> ParseError {
        ParseError { position: self.position(at), message }
    }

    /// Says what should stand here, and what does.
    pub fn expected(&self, what: &str) -> ParseError {
        let found = match until(self.rest(), char::is_whitespace) {
            "" => "the end".to_owned(),
            word => shown(word),
        };
        self.error(self.at, format!("expected {what}, found {found}"))
    }

    /// Characters before a byte of the text.
    pub fn position(&self, at: usize) -> usize {
        self.text[..at].chars().count()
    }
}
