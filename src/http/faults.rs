//! What is wrong with a body, all of it in one answer.

use serde_json::{Map, Value};

use super::problem::{FieldError, Problem, ProblemName};

/// Collects the faults of a body. Where a member is unknown, that decides the kind of the problem.
#[derive(Debug, Default)]
pub(super) struct Faults {
    errors: Vec<FieldError>,
    unknown: bool,
}

impl Faults {
    /// How many there are.
    pub(super) const fn count(&self) -> usize {
        self.errors.len()
    }

    /// The member at a JSON pointer is wrong; `detail` goes on after its name.
    pub(super) fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.errors.push(FieldError::new(pointer, detail));
    }

    /// Each member of the object at `at` that is not among `known` is wrong, for that reason.
    pub(super) fn refuse_unknown(
        &mut self,
        object: &Map<String, Value>,
        at: &str,
        known: &[&str],
        detail: &str,
    ) {
        for member in object.keys().filter(|key| !known.contains(&key.as_str())) {
            self.unknown = true;
            self.add(format!("{at}/{}", escaped(member)), detail);
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// When there is a fault.
    pub(super) fn none(self) -> Result<(), Problem> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(self.problem())
        }
    }

    /// The answer that tells of them.
    pub(super) fn problem(self) -> Problem {
        let name = if self.unknown {
            ProblemName::UnknownMember
        } else {
            ProblemName::InvalidBody
        };
        Problem::of_members(name, self.errors)
    }
}

/// A member's name as a part of a JSON pointer.
pub(super) fn escaped(member: &str) -> String {
    member.replace('~', "~0").replace('/', "~1")
}
