//! Text to expression: recursive descent over the grammar in the crate's documentation. Only parentheses recurse.

use seawall_model::nearest;

use crate::{
    EXPRESSION_CHARS_MAX, LIST_ITEMS_MAX, NESTING_MAX, PATTERNS_MAX, ParseError,
    ast::{Bound, Check, Condition, Node, Test},
    cursor::{AND, Cursor, NOT, OR, bare, bare_pattern, shown, until},
    literal::{self, is_in_name},
    operator::{OPERATORS, Operator, Order, Spelling, sign},
    pattern::Pattern,
};

/// Longest name of an attribute: ECS's limit.
const ATTRIBUTE_CHARS_MAX: usize = 128;
const ATTRIBUTE: &str = "attribute:";

/// The other subjects, as they are written.
const FIELDS: [(&str, Field); 6] = [
    ("task:group", Field::Group),
    ("ec2InstanceId", Field::InstanceId),
    ("agentConnected", Field::Connected),
    ("agentVersion", Field::Version),
    ("registeredAt", Field::RegisteredAt),
    ("runningTasksCount", Field::RunningTasks),
];

/// What a condition is about.
#[derive(Clone, Copy)]
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
        let is_order = matches!(operator, Operator::Order(_));
        let is_equality = matches!(operator, Operator::Order(Order::Equal | Order::NotEqual));
        let is_existence = matches!(operator, Operator::Exists | Operator::NotExists);
        match self {
            Field::Attribute(_) => true,
            Field::Group => !is_order || is_equality,
            Field::InstanceId | Field::Connected => (!is_order || is_equality) && !is_existence,
            Field::Version | Field::RegisteredAt | Field::RunningTasks => is_order,
        }
    }
}

/// Reads an expression.
pub fn parse(text: &str) -> Result<Node, ParseError> {
    let chars = text.chars().count();
    if chars > EXPRESSION_CHARS_MAX {
        let message = format!("an expression has at most {EXPRESSION_CHARS_MAX} characters; this one has {chars}");
        return Err(ParseError { position: EXPRESSION_CHARS_MAX, message });
    }
    let mut parser = Parser { cursor: Cursor::new(text), open: 0, patterns: 0 };
    let node = parser.or()?;
    match parser.cursor.rest() {
        "" => Ok(node),
        _ => Err(parser.cursor.expected("'and' (&&), 'or' (||) or the end")),
    }
}

struct Parser<'t> {
    cursor: Cursor<'t>,
    /// Parentheses that are open.
    open: usize,
    /// Patterns that are read.
    patterns: usize,
}

/// Reads one value of a subject that has texts for values.
type ReadValue<'t> = fn(&mut Parser<'t>, &str) -> Result<Box<str>, ParseError>;

impl<'t> Parser<'t> {
    fn or(&mut self) -> Result<Node, ParseError> {
        let mut nodes = vec![self.and()?];
        while self.cursor.takes(OR) {
            nodes.push(self.and()?);
        }
        Ok(Node::or(nodes))
    }

    fn and(&mut self) -> Result<Node, ParseError> {
        let mut nodes = vec![self.not()?];
        while self.cursor.takes(AND) {
            nodes.push(self.not()?);
        }
        Ok(Node::and(nodes))
    }

    fn not(&mut self) -> Result<Node, ParseError> {
        let mut negated = false;
        while self.cursor.takes(NOT) {
            negated = !negated;
        }
        let is_group = self.cursor.rest().starts_with('(');
        let node = if is_group { self.group()? } else { Node::Is(self.condition()?) };
        Ok(if negated { Node::negated(node) } else { node })
    }

    fn group(&mut self) -> Result<Node, ParseError> {
        let from = self.cursor.at;
        if self.open == NESTING_MAX {
            return Err(self.cursor.error(from, format!("parentheses are nested more than {NESTING_MAX} deep")));
        }
        self.cursor.at += 1;
        self.open += 1;
        let node = self.or()?;
        if !self.cursor.rest().starts_with(')') {
            let opened = self.cursor.position(from);
            return Err(self.cursor.expected(&format!("'and' (&&), 'or' (||) or the ')' of position {opened}")));
        }
        self.cursor.at += 1;
        self.open -= 1;
        Ok(node)
    }

    fn condition(&mut self) -> Result<Condition, ParseError> {
        let field = self.field()?;
        self.cursor.skip_space();
        let at = self.cursor.at;
        let operator = self.operator()?;
        let is_taken = field.takes(operator);
        Ok(match (field, operator) {
            (Field::Version, Operator::Order(order)) => {
                Condition::Version(order, self.typed(sign(operator), "a version such as 1.14.5", literal::version)?)
            }
            (Field::RegisteredAt, Operator::Order(order)) => {
                let what = "a date such as 2018-06-18 or 2018-06-18T22:28:28Z";
                Condition::RegisteredAt(order, self.typed(sign(operator), what, literal::instant)?)
            }
            (Field::RunningTasks, Operator::Order(order)) => {
                Condition::RunningTasks(order, self.typed(sign(operator), "a count of tasks", literal::count)?)
            }
            (Field::Attribute(name), _) => Condition::Attribute(name.into(), self.test(operator, Self::text)?),
            (Field::Group, _) if is_taken => Condition::Group(self.test(operator, Self::text)?),
            (Field::InstanceId, _) if is_taken => Condition::InstanceId(self.test(operator, Self::text)?),
            (Field::Connected, _) if is_taken => Condition::Connected(self.test(operator, Self::boolean)?),
            _ => return Err(self.not_taken(field, operator, at)),
        })
    }

    fn field(&mut self) -> Result<Field<'t>, ParseError> {
        let (from, word) = (self.cursor.at, self.cursor.word());
        if word.is_empty() {
            return Err(self.cursor.expected("a condition such as attribute:ecs.os-type == linux"));
        }
        self.cursor.at += word.len();
        if let Some(name) = word.strip_prefix(ATTRIBUTE) {
            return self.attribute(name);
        }
        let known = FIELDS.iter().find(|(written, _)| *written == word);
        known.map(|(_, field)| *field).ok_or_else(|| self.cursor.error(from, unknown_subject(word)))
    }

    fn attribute(&self, name: &'t str) -> Result<Field<'t>, ParseError> {
        if (1..=ATTRIBUTE_CHARS_MAX).contains(&name.len()) && name.chars().all(is_in_name) {
            return Ok(Field::Attribute(name));
        }
        let what = format!("the name of an attribute: 1 to {ATTRIBUTE_CHARS_MAX} letters, digits and _ - . / \\");
        Err(self.cursor.error(self.cursor.at - name.len(), format!("expected {what}")))
    }

    fn operator(&mut self) -> Result<Operator, ParseError> {
        let rest = self.cursor.rest();
        let word = until(rest, |c| !c.is_ascii_alphabetic() && c != '_');
        let is_next = |(_, sign, spelled): &&Spelling| match word {
            "" => begins(rest, sign),
            word => word.eq_ignore_ascii_case(spelled),
        };
        let (operator, sign, _) = *OPERATORS.iter().find(is_next).ok_or_else(|| self.no_operator(word))?;
        self.cursor.at += if word.is_empty() { sign.len() } else { word.len() };
        Ok(operator)
    }

    fn no_operator(&self, word: &str) -> ParseError {
        let error = self.cursor.expected("an operator such as ==, !=, in or =~");
        let hint = if word.is_empty() {
            self.cursor.rest().starts_with('=').then_some("==")
        } else {
            nearest(word, OPERATORS.map(|(.., word)| word), 1).pop()
        };
        let hint = hint.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
        ParseError { message: error.message + &hint, ..error }
    }

    fn not_taken(&self, field: Field<'_>, operator: Operator, at: usize) -> ParseError {
        let taken = OPERATORS.iter().filter(|(of, ..)| field.takes(*of)).map(|(_, sign, _)| *sign);
        let taken = taken.collect::<Vec<_>>().join(", ");
        self.cursor.error(at, format!("'{}' does not go with this subject, which takes {taken}", sign(operator)))
    }

    fn test(&mut self, operator: Operator, one: ReadValue<'t>) -> Result<Test, ParseError> {
        let after = sign(operator);
        Ok(match operator {
            Operator::Exists => Test::Exists,
            Operator::NotExists => Test::NotExists,
            Operator::In => Test::Is(Check::In(self.list(after, one)?)),
            Operator::NotIn => Test::IsNot(Check::In(self.list(after, one)?)),
            Operator::Matches => Test::Is(Check::Matches(self.pattern(after)?)),
            Operator::NotMatches => Test::IsNot(Check::Matches(self.pattern(after)?)),
            Operator::Order(Order::Equal) => Test::Is(Check::Equals(one(self, after)?)),
            Operator::Order(Order::NotEqual) => Test::IsNot(Check::Equals(one(self, after)?)),
            Operator::Order(order) => Test::Is(Check::Compare(order, Bound::new(&one(self, after)?))),
        })
    }

    fn list(&mut self, after: &str, one: ReadValue<'t>) -> Result<Vec<Box<str>>, ParseError> {
        self.cursor.skip_space();
        if !self.cursor.rest().starts_with('[') {
            return Err(self.cursor.expected(&format!("a list such as [a, b] after '{after}'")));
        }
        let mut items = Vec::new();
        loop {
            self.cursor.at += 1;
            items.push(one(self, after)?);
            self.cursor.skip_space();
            match self.cursor.rest().chars().next() {
                Some(']') => break,
                Some(',') if items.len() < LIST_ITEMS_MAX => {}
                Some(',') => {
                    return Err(self
                        .cursor
                        .error(self.cursor.at, format!("a list has at most {LIST_ITEMS_MAX} values")));
                }
                _ => return Err(self.cursor.expected("',' or ']' in the list")),
            }
        }
        self.cursor.at += 1;
        Ok(items)
    }

    fn text(&mut self, after: &str) -> Result<Box<str>, ParseError> {
        self.cursor.value(after, bare).map(|(_, text)| text.into())
    }

    fn boolean(&mut self, after: &str) -> Result<Box<str>, ParseError> {
        self.typed(after, "true or false", literal::boolean).map(Box::from)
    }

    fn typed<T>(&mut self, after: &str, what: &str, read: fn(&str) -> Option<T>) -> Result<T, ParseError> {
        let (at, text) = self.cursor.value(after, bare)?;
        read(text).ok_or_else(|| self.cursor.error(at, format!("expected {what}, found {}", shown(text))))
    }

    fn pattern(&mut self, after: &str) -> Result<Pattern, ParseError> {
        self.cursor.skip_space();
        let bare_bytes = bare_pattern(self.cursor.rest()).len();
        if self.cursor.rest()[bare_bytes..].starts_with('(') {
            let message = "a pattern with parentheses must stand in quotes".to_owned();
            return Err(self.cursor.error(self.cursor.at + bare_bytes, message));
        }
        let (at, text) = self.cursor.value(after, bare_pattern)?;
        self.patterns += 1;
        if self.patterns > PATTERNS_MAX {
            return Err(self.cursor.error(at, format!("an expression has at most {PATTERNS_MAX} patterns")));
        }
        Pattern::new(text).map_err(|(offset, message)| self.cursor.error(at + offset, message))
    }
}

/// Whether `text` begins with a sign. One of letters ends where they end: "!into" is not "!in".
fn begins(text: &str, sign: &str) -> bool {
    let ends = |tail: &str| !sign.ends_with(char::is_alphabetic) || !tail.starts_with(is_in_name);
    text.strip_prefix(sign).is_some_and(ends)
}

fn unknown_subject(word: &str) -> String {
    let near = nearest(word, FIELDS.iter().map(|(written, _)| *written).chain([ATTRIBUTE]), 1).join("");
    let own = word.rsplit(':').next().unwrap_or(word);
    let own = &own[..own.len().min(ATTRIBUTE_CHARS_MAX)];
    format!("unknown subject {}; did you mean '{near}'? An attribute is written {ATTRIBUTE}{own}", shown(word))
}
