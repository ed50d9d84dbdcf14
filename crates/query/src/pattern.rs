//! Patterns of `=~` and `!~`.

use std::fmt;

use regex_automata::meta::{self, BuildError};
use regex_syntax::{
    ast::{self, Ast, ErrorKind, Visitor},
    hir::{Hir, Look, translate::Translator},
};

/// Bytes of a compiled pattern.
const PROGRAM_BYTES_MAX: usize = 256 << 10;
/// Bytes that matching one may keep for the next time.
const CACHE_BYTES_MAX: usize = 256 << 10;
/// Groups within groups.
const NESTING_MAX: u32 = 32;

/// What is wrong with a pattern, and where in it (bytes).
pub type Wrong = (usize, String);

/// A pattern that fits whole values, compiled once.
#[derive(Clone)]
pub struct Pattern {
    text: Box<str>,
    regex: meta::Regex,
}

impl Pattern {
    /// Compiles a pattern.
    pub fn new(text: &str) -> Result<Self, Wrong> {
        let parser = ast::parse::ParserBuilder::new().nest_limit(NESTING_MAX).build().parse(text);
        let ast = parser.map_err(|e| (e.span().start.offset, explain(e.kind())))?;
        ast::visit(&ast, Possessive)?;
        let hir = Translator::new().translate(text, &ast);
        let hir = hir.map_err(|e| (e.span().start.offset, e.kind().to_string()))?;
        let whole = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
        let config = meta::Config::new().nfa_size_limit(Some(PROGRAM_BYTES_MAX)).hybrid_cache_capacity(CACHE_BYTES_MAX);
        let regex = meta::Builder::new().configure(config).build_from_hir(&whole);
        Ok(Pattern { text: text.into(), regex: regex.map_err(|e| (0, too_large(&e)))? })
    }

    /// Whether it fits the whole of `value`.
    pub fn fits(&self, value: &str) -> bool {
        self.regex.is_match(value)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

fn explain(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::UnsupportedBackreference => "backreferences of Java's patterns are not supported".into(),
        ErrorKind::UnsupportedLookAround => "lookahead and lookbehind of Java's patterns are not supported".into(),
        ErrorKind::NestLimitExceeded(_) => format!("groups of a pattern are nested more than {NESTING_MAX} deep"),
        ErrorKind::EscapeUnrecognized => "the pattern has an escape that is not supported".into(),
        ErrorKind::FlagUnrecognized => "the pattern has a flag or a kind of group that is not supported".into(),
        other => format!("the pattern is wrong here: {other}"),
    }
}

fn too_large(error: &BuildError) -> String {
    match error.size_limit() {
        Some(limit) => format!("the pattern takes more than {limit} bytes once compiled"),
        None => format!("the pattern cannot be compiled: {error}"),
    }
}

/// Finds `a*+`, which is one quantifier in Java and two here: it would fit values that it does not fit there.
struct Possessive;

impl Visitor for Possessive {
    type Output = ();
    type Err = Wrong;

    fn finish(self) -> Result<(), Wrong> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Wrong> {
        match ast {
            Ast::Repetition(outer) if matches!(*outer.ast, Ast::Repetition(_)) => {
                Err((outer.op.span.start.offset, "possessive quantifiers of Java's patterns are not supported".into()))
            }
            _ => Ok(()),
        }
    }
}
