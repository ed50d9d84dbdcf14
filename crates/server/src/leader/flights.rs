//! Which of the commands that plans heed count as on their way, for the record of a decision: a replay finds them in the log.
//!
//! Batches come into the log in the order that they leave, and count until the proposer hears that they are applied, which may
//! be a moment after they are.

use std::collections::VecDeque;

/// The batches of a term, from the oldest that is on its way on.
#[derive(Default)]
pub(super) struct Flights {
    /// The number of the first one.
    first: u64,
    batches: VecDeque<Flight>,
    /// Commands of the batch that is forming.
    forming: u32,
}

struct Flight {
    commands: u32,
    has_landed: bool,
}

impl Flights {
    /// Batches of an earlier term count no more; their numbers are not used again.
    pub(super) fn begin_term(&mut self) {
        self.first += self.batches.len() as u64;
        self.batches.clear();
        self.forming = 0;
    }

    /// One more command that plans heed in the batch that is forming.
    pub(super) fn add(&mut self) {
        self.forming += 1;
    }

    /// The batch leaves; its number.
    pub(super) fn take_off(&mut self) -> u64 {
        let commands = std::mem::take(&mut self.forming);
        self.batches.push_back(Flight { commands, has_landed: false });
        self.first + self.batches.len() as u64 - 1
    }

    /// The batch of that number is applied, or lost. One of an earlier term is not known any more.
    pub(super) fn land(&mut self, number: u64) {
        let at = number.checked_sub(self.first).and_then(|at| self.batches.get_mut(at as usize));
        if let Some(flight) = at {
            flight.has_landed = true;
        }
        while self.batches.front().is_some_and(|flight| flight.has_landed) {
            self.batches.pop_front();
            self.first += 1;
        }
    }

    /// Back from the next command: so many before it are on their way, so many before these are not, by turns. The last `passed`
    /// commands are of its own plan, which did not know of them.
    pub(super) fn runs(&self, passed: u32) -> Vec<u32> {
        let batches = self.batches.iter().rev().map(|flight| (flight.commands, flight.has_landed));
        let mut runs: Vec<u32> = if passed == 0 { Vec::new() } else { vec![0, passed] };
        for (commands, has_landed) in std::iter::once((self.forming, false)).chain(batches) {
            if commands == 0 {
                continue;
            }
            // The first, third, fifth run are on their way.
            let skips = runs.len().is_multiple_of(2);
            match runs.last_mut() {
                Some(last) if skips == has_landed => *last += commands,
                None if has_landed => runs.extend([0, commands]),
                Some(_) | None => runs.push(commands),
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flying(commands: &[u32]) -> Flights {
        let mut flights = Flights::default();
        for (count, number) in commands.iter().zip(0..) {
            (0..*count).for_each(|_| flights.add());
            assert_eq!(flights.take_off(), number);
        }
        flights
    }

    #[test]
    fn what_is_on_its_way_is_counted_back_from_the_next() {
        let mut flights = flying(&[1, 2, 4, 8]);
        assert_eq!(flights.runs(0), [15]);
        flights.add();
        assert_eq!(flights.runs(0), [16]);
        assert_eq!(flights.runs(2), [0, 2, 16], "those of its own plan come after the others");
        flights.land(0);
        assert_eq!(flights.runs(0), [15]);
        flights.land(2);
        assert_eq!(flights.runs(0), [9, 4, 2]);
        flights.land(1);
        assert_eq!(flights.runs(0), [9]);
    }

    #[test]
    fn a_batch_that_landed_before_those_after_it_is_passed_over() {
        let mut flights = flying(&[3, 5]);
        flights.land(1);
        assert_eq!(flights.runs(0), [0, 5, 3]);
        assert_eq!(flights.runs(1), [0, 6, 3]);
        flights.land(0);
        assert_eq!(flights.runs(0), [0; 0]);
        assert_eq!(flights.take_off(), 2);
        flights.land(7);
        assert_eq!(flights.runs(0), [0; 0]);
    }

    #[test]
    fn a_batch_of_an_earlier_term_lands_on_no_other() {
        let mut flights = flying(&[3, 5]);
        flights.begin_term();
        flights.add();
        assert_eq!((flights.take_off(), flights.runs(0)), (2, vec![1]));
        flights.land(0);
        assert_eq!(flights.runs(0), [1]);
    }
}
