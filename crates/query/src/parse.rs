//! Text to expression: recursive descent over the grammar in the crate's documentation. Only parentheses recurse.

use seawall_model::nearest;

use crate::{
    EXPRESSION_CHARS_MAX, LIST_ITEMS_MAX, NESTING_MAX, PATTERNS_MAX, ParseError,
    ast::{Bound, Check, Condition, Node, Test},
    literal,
    operator::{OPERATORS, Operator, Order, sign},
    pattern::Pattern,
};

/// Longest name of an attribute: ECS's limit.
const ATTRIBUTE_CHARS_MAX: usize = 128;
/// Characters shown of what stands where something else was expected.
const FOUND_CHARS_MAX: usize = 20;

const ATTRIBUTE: &str = "attribute:";
const AND: (&str, &str) = ("&&", "and");
const OR: (&str, &str) = ("||", "or");
const NOT: (&str, &str) = ("!", "not");

/// A subject as it is written, and what it is.
const FIELDS: [(&str, Field); 6] = [
    ("task:group", Field::Group),
    ("ec2InstanceId", Field::InstanceId),
    ("agentConnected", Field::Connected),
    ("agentVersion", Field::Version),
    ("registeredAt", Field::RegisteredAt),
    ("runningTasksCount", Field::RunningTasks),
];

/// What a condition is about.
#[derive(Clone, Copy, PartialEq)]
enum Field<'t> {
    Attribute(&'t str),
    Group,
    InstanceId,
    Connected,
    Version,
    RegisteredAt,
    RunningTasks,
}

impl Field<'_> {
    fn takes(self, operator: Operator) -> bool {
        let is_equality = matches!(operator, Operator::Order(Order::Equal | Order::NotEqual));
        match self {
            Field::Attribute(_) => true,
            Field::Group => is_equality || !matches!(operator, Operator::Order(_)),
            Field::InstanceId | Field::Connected => {
                is_equality || !matches!(operator, Operator::Order(_) | Operator::Exists | Operator::NotExists)
            }
            Field::Version | Field::RegisteredAt | Field::RunningTasks => matches!(operator, Operator::Order(_)),
        }
    }
}

/// Reads an expression.
pub fn parse(text: &str) -> Result<Node, ParseError> {
    let mut parser = Parser { text, at: 0, open: 0, patterns: 0 };
    let chars = text.chars().count();
    if chars > EXPRESSION_CHARS_MAX {
        let message = format!("an expression has at most {EXPRESSION_CHARS_MAX} characters; this one has {chars}");
        return Err(ParseError { position: EXPRESSION_CHARS_MAX, message });
    }
    let node = parser.or()?;
    parser.skip_space();
    match parser.rest() {
        "" => Ok(node),
        _ => Err(parser.expected("'and' (&&), 'or' (||) or the end")),
    }
}

/// Whether a value can stand without quotes.
pub fn is_bare(text: &str) -> bool {
    !text.is_empty() && bare(text) == text && !is_reserved(text)
}

/// Whether a pattern can stand without quotes.
pub fn is_bare_pattern(text: &str) -> bool {
    !text.is_empty() && bare_pattern(text) == text && !is_reserved(text)
}

/// The value without quotes that `text` begins with.
fn bare(text: &str) -> &str {
    until(text, |c| c.is_whitespace() || "()[],'\"=!<>~&|".contains(c))
}

/// The pattern without quotes that `text` begins with.
fn bare_pattern(text: &str) -> &str {
    let word = until(text, |c| c.is_whitespace() || "()'\"".contains(c));
    let ends = [AND.0, OR.0].iter().filter_map(|sign| word.find(sign)).min();
    &word[..ends.unwrap_or(word.len())]
}

/// A forgotten value would otherwise swallow the word after it.
fn is_reserved(text: &str) -> bool {
    [AND.1, OR.1, NOT.1].iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn is_in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-./\\".contains(c)
}

/// Whether `text` begins with a sign. One of letters ends where they end: "!into" is not "!in".
fn begins(text: &str, sign: &str) -> bool {
    let ends = |tail: &str| !sign.ends_with(char::is_alphabetic) || !tail.starts_with(is_in_name);
    text.strip_prefix(sign).is_some_and(ends)
}

fn until(text: &str, ends: impl Fn(char) -> bool) -> &str {
    &text[..text.find(ends).unwrap_or(text.len())]
}

struct Parser<'t> {
    text: &'t str,
    /// Bytes that are read.
    at: usize,
    /// Parentheses that are open.
    open: usize,
    patterns: usize,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn error(&self, at: usize, message: String) -> ParseError {
        ParseError { position: self.position(at), message }
    }

    fn position(&self, at: usize) -> usize {
        self.text[..at].chars().count()
    }

    /// Says what should stand here, and what does.
    fn expected(&self, what: &str) -> ParseError {
        let word = until(self.rest(), char::is_whitespace);
        let found: String = word.chars().take(FOUND_CHARS_MAX).collect();
        let more = if found.len() < word.len() { "…" } else { "" };
        let found = if word.is_empty() { "the end".to_owned() } else { format!("'{found}{more}'") };
        self.error(self.at, format!("expected {what}, found {found}"))
    }

    /// Reads a sign or a word, if one of them is next.
    fn takes(&mut self, (sign, word): (&str, &str)) -> bool {
        self.skip_space();
        let next = until(self.rest(), |c| !is_in_name(c) && c != ':');
        let length = if self.rest().starts_with(sign) {
            sign.len()
        } else if next.eq_ignore_ascii_case(word) {
            word.len()
        } else {
            return false;
        };
        self.at += length;
        true
    }

    fn or(&mut self) -> Result<Node, ParseError> {
        let mut nodes = vec![self.and()?];
        while self.takes(OR) {
            nodes.push(self.and()?);
        }
        Ok(Node::or(nodes))
    }

    fn and(&mut self) -> Result<Node, ParseError> {
        let mut nodes = vec![self.not()?];
        while self.takes(AND) {
            nodes.push(self.not()?);
        }
        Ok(Node::and(nodes))
    }

    fn not(&mut self) -> Result<Node, ParseError> {
        let mut negated = false;
        while self.takes(NOT) {
            negated = !negated;
        }
        let node = if self.rest().starts_with('(') { self.parenthesis()? } else { Node::Is(self.condition()?) };
        Ok(if negated { Node::negated(node) } else { node })
    }

    fn parenthesis(&mut self) -> Result<Node, ParseError> {
        let from = self.at;
        if self.open == NESTING_MAX {
            return Err(self.error(from, format!("parentheses are nested more than {NESTING_MAX} deep")));
        }
        (self.at, self.open) = (self.at + 1, self.open + 1);
        let node = self.or()?;
        self.skip_space();
        if !self.rest().starts_with(')') {
            let what = format!("'and' (&&), 'or' (||) or the ')' of position {}", self.position(from));
            return Err(self.expected(&what));
        }
        (self.at, self.open) = (self.at + 1, self.open - 1);
        Ok(node)
    }

    fn condition(&mut self) -> Result<Condition, ParseError> {
        let field = self.field()?;
        let operator = self.operator(field)?;
        Ok(match (field, operator) {
            (Field::Version, Operator::Order(order)) => {
                Condition::Version(order, self.typed(operator, "a version such as 1.14.5", literal::version)?)
            }
            (Field::RegisteredAt, Operator::Order(order)) => {
                let what = "a date such as 2018-06-18 or 2018-06-18T22:28:28Z";
                Condition::RegisteredAt(order, self.typed(operator, what, literal::instant)?)
            }
            (Field::RunningTasks, Operator::Order(order)) => {
                Condition::RunningTasks(order, self.typed(operator, "a count of tasks", literal::count)?)
            }
            (Field::Attribute(name), _) => Condition::Attribute(name.into(), self.test(operator, Self::text)?),
            (Field::Group, _) => Condition::Group(self.test(operator, Self::text)?),
            (Field::InstanceId, _) => Condition::InstanceId(self.test(operator, Self::text)?),
            _ => Condition::Connected(self.test(operator, Self::boolean)?),
        })
    }

    fn field(&mut self) -> Result<Field<'t>, ParseError> {
        let (from, word) = (self.at, until(self.rest(), |c| !is_in_name(c) && c != ':'));
        if word.is_empty() {
            return Err(self.expected("a condition such as attribute:ecs.os-type == linux"));
        }
        self.at += word.len();
        if let Some(name) = word.strip_prefix(ATTRIBUTE) {
            return self.attribute(from + ATTRIBUTE.len(), name);
        }
        let known = FIELDS.iter().find(|(written, _)| *written == word);
        known.map(|(_, field)| *field).ok_or_else(|| self.error(from, unknown_subject(word)))
    }

    fn attribute(&self, at: usize, name: &'t str) -> Result<Field<'t>, ParseError> {
        let is_name = (1..=ATTRIBUTE_CHARS_MAX).contains(&name.len()) && name.chars().all(is_in_name);
        if is_name {
            return Ok(Field::Attribute(name));
        }
        let what =
            format!("expected the name of an attribute: 1 to {ATTRIBUTE_CHARS_MAX} letters, digits and _ - . / \\");
        Err(self.error(at, what))
    }

    fn operator(&mut self, field: Field<'_>) -> Result<Operator, ParseError> {
        self.skip_space();
        let (from, rest) = (self.at, self.rest());
        let word = until(rest, |c| !c.is_ascii_alphabetic() && c != '_');
        let is_next = |sign: &str, spelled: &str| match word {
            "" => begins(rest, sign),
            word => word.eq_ignore_ascii_case(spelled),
        };
        let found = OPERATORS.iter().find(|(_, sign, spelled)| is_next(sign, spelled));
        let (operator, sign, _) = *found.ok_or_else(|| self.no_operator(word))?;
        let length = if word.is_empty() { sign.len() } else { word.len() };
        self.at += length;
        if field.takes(operator) {
            return Ok(operator);
        }
        let taken = OPERATORS.iter().filter(|(of, ..)| field.takes(*of)).map(|(_, sign, _)| *sign);
        let taken = taken.collect::<Vec<_>>().join(", ");
        Err(self.error(from, format!("'{}' does not go with this subject, which takes {taken}", &rest[..length])))
    }

    fn no_operator(&self, word: &str) -> ParseError {
        let error = self.expected("an operator such as ==, !=, in or =~");
        let hint = match (nearest(word, OPERATORS.map(|(.., word)| word), 1).first(), self.rest()) {
            (Some(near), _) if !word.is_empty() => format!("; did you mean '{near}'?"),
            (_, rest) if rest.starts_with('=') => "; did you mean '=='?".to_owned(),
            _ => String::new(),
        };
        ParseError { message: error.message + &hint, ..error }
    }

    fn test(
        &mut self,
        operator: Operator,
        one: fn(&mut Self, Operator) -> Result<Box<str>, ParseError>,
    ) -> Result<Test, ParseError> {
        Ok(match operator {
            Operator::Exists => Test::Exists,
            Operator::NotExists => Test::NotExists,
            Operator::In => Test::Is(Check::In(self.list(operator, one)?)),
            Operator::NotIn => Test::IsNot(Check::In(self.list(operator, one)?)),
            Operator::Matches => Test::Is(Check::Matches(self.pattern(operator)?)),
            Operator::NotMatches => Test::IsNot(Check::Matches(self.pattern(operator)?)),
            Operator::Order(Order::Equal) => Test::Is(Check::Equals(one(self, operator)?)),
            Operator::Order(Order::NotEqual) => Test::IsNot(Check::Equals(one(self, operator)?)),
            Operator::Order(order) => Test::Is(Check::Compare(order, Bound::new(&one(self, operator)?))),
        })
    }

    fn list(
        &mut self,
        operator: Operator,
        one: fn(&mut Self, Operator) -> Result<Box<str>, ParseError>,
    ) -> Result<Vec<Box<str>>, ParseError> {
        self.skip_space();
        if !self.rest().starts_with('[') {
            return Err(self.expected(&format!("a list such as [a, b] after '{}'", sign(operator))));
        }
        let mut items = Vec::new();
        loop {
            self.at += 1;
            items.push(one(self, operator)?);
            self.skip_space();
            match self.rest().chars().next() {
                Some(']') => break,
                Some(',') if items.len() == LIST_ITEMS_MAX => {
                    return Err(self.error(self.at, format!("a list has at most {LIST_ITEMS_MAX} values")));
                }
                Some(',') => {}
                _ => return Err(self.expected("',' or ']' in the list")),
            }
        }
        self.at += 1;
        Ok(items)
    }

    fn text(&mut self, after: Operator) -> Result<Box<str>, ParseError> {
        self.value(after, bare).map(|(_, text)| text.into())
    }

    fn boolean(&mut self, after: Operator) -> Result<Box<str>, ParseError> {
        self.typed(after, "true or false", literal::boolean).map(Box::from)
    }

    fn pattern(&mut self, after: Operator) -> Result<Pattern, ParseError> {
        self.skip_space();
        let ends_at = self.at + bare_pattern(self.rest()).len();
        if self.text[ends_at..].starts_with('(') {
            return Err(self.error(ends_at, "a pattern with parentheses must stand in quotes".to_owned()));
        }
        let (at, text) = self.value(after, bare_pattern)?;
        self.patterns += 1;
        if self.patterns > PATTERNS_MAX {
            return Err(self.error(at, format!("an expression has at most {PATTERNS_MAX} patterns")));
        }
        Pattern::new(text).map_err(|(offset, message)| self.error(at + offset, message))
    }

    fn typed<T>(&mut self, after: Operator, what: &str, read: fn(&str) -> Option<T>) -> Result<T, ParseError> {
        let (at, text) = self.value(after, bare)?;
        read(text).ok_or_else(|| self.error(at, format!("expected {what}, found '{text}'")))
    }

    /// A value in quotes, or what `bare` takes: where its text begins, and its text.
    fn value(&mut self, after: Operator, bare: fn(&str) -> &str) -> Result<(usize, &'t str), ParseError> {
        self.skip_space();
        let rest = self.rest();
        if let Some(quote) = rest.chars().next().filter(|c| "'\"".contains(*c)) {
            let (from, inner) = (self.at + 1, &rest[1..]);
            let Some(length) = inner.find(quote) else {
                return Err(self.error(self.at, format!("this {quote} is never closed")));
            };
            self.at = from + length + 1;
            return Ok((from, &inner[..length]));
        }
        let text = bare(rest);
        if is_reserved(text) {
            let what = format!("a value after '{}' (the word itself stands in quotes)", sign(after));
            return Err(self.expected(&what));
        }
        if text.is_empty() {
            return Err(self.expected(&format!("a value after '{}'", sign(after))));
        }
        self.at += text.len();
        Ok((self.at - text.len(), text))
    }
}

fn unknown_subject(word: &str) -> String {
    let written = FIELDS.iter().map(|(written, _)| *written).chain([ATTRIBUTE]);
    let near = nearest(word, written, 1).join("");
    let own = word.rsplit(':').next().unwrap_or(word);
    format!("unknown subject '{word}'; did you mean '{near}'? An attribute is written {ATTRIBUTE}{own}")
}
