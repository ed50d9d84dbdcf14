//! Numbers of the filters, for rows and records. They are for ever: a new filter goes to the end.

/// By number, from 1 on.
const NAMES: [&str; 16] = [
    "status",
    "agent",
    "zone",
    "cordon",
    "capacity-provider",
    "attribute",
    "member-of",
    "distinct-instance",
    "max-per-instance",
    "daemons",
    "memory",
    "cpu",
    "ports",
    "guard",
    "max-zone-skew",
    "priority",
];

/// The number of the filter of this name; 0 where it has none.
pub fn number_of(name: &str) -> u32 {
    NAMES.iter().position(|known| *known == name).map_or(0, |at| at as u32 + 1)
}

/// The filter of a number. One of a later version has no name here.
pub fn name_of(number: u32) -> &'static str {
    let at = (number as usize).checked_sub(1);
    at.and_then(|at| NAMES.get(at)).copied().unwrap_or("another filter")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::{BELONGS, CHOSEN, PIPELINE};

    #[test]
    fn every_filter_has_a_number_that_names_it() {
        for filter in PIPELINE.iter().chain(&CHOSEN).chain(&BELONGS) {
            assert_eq!(name_of(number_of(filter.name())), filter.name(), "add it to the end of NAMES");
        }
        assert_eq!((number_of("nothing"), name_of(0)), (0, "another filter"));
    }
}
