//! Tasks by the values of the attributes that a strategy spreads over.

use std::collections::BTreeMap;

use crate::{Strategy, strategy::Step};

/// One list of values for each step that spreads over an attribute. A value is one among the instances that agree in the
/// attributes before it: racks of the same name in two zones are two.
pub(crate) struct Values<'a, 's> {
    attributes: Vec<&'s str>,
    numbers: Vec<BTreeMap<(usize, &'a str), usize>>,
    counted: Vec<Vec<Value<'a>>>,
}

/// One value of an attribute.
pub(crate) struct Value<'a> {
    pub name: &'a str,
    pub tasks: u32,
}

/// The values of one instance, by step.
pub(crate) type Of = Vec<usize>;

impl<'a, 's> Values<'a, 's> {
    pub fn new(strategy: &'s Strategy) -> Self {
        let attributes: Vec<&str> = strategy.steps.iter().filter_map(Step::attribute).collect();
        let lists = attributes.len();
        Values {
            attributes,
            numbers: vec![BTreeMap::new(); lists],
            counted: std::iter::repeat_with(Vec::new).take(lists).collect(),
        }
    }

    /// The values of an instance. One without the attribute has the empty value.
    pub fn of(&mut self, attribute: impl Fn(&str) -> Option<&'a str>) -> Of {
        let mut values = Of::with_capacity(self.attributes.len());
        for (level, name) in self.attributes.iter().enumerate() {
            let value = attribute(name).unwrap_or_default();
            let before = values.last().copied().unwrap_or(0);
            let counted = &mut self.counted[level];
            values.push(*self.numbers[level].entry((before, value)).or_insert_with(|| {
                counted.push(Value { name: value, tasks: 0 });
                counted.len() - 1
            }));
        }
        values
    }

    pub fn add(&mut self, of: &Of, tasks: u32) {
        for (counted, value) in self.counted.iter_mut().zip(of) {
            counted[*value].tasks += tasks;
        }
    }

    pub fn remove_one(&mut self, of: &Of) {
        for (counted, value) in self.counted.iter_mut().zip(of) {
            counted[*value].tasks = counted[*value].tasks.saturating_sub(1);
        }
    }

    /// What is counted of an instance's values, by step.
    pub fn counted<'v>(&'v self, of: &'v Of) -> impl Iterator<Item = &'v Value<'a>> {
        self.counted.iter().zip(of).map(|(counted, value)| &counted[*value])
    }
}
