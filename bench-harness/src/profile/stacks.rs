//! Stacks and how often they were seen, in the form that every other part works on.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::frame::readable;

/// A function by its demangled name, the innermost last.
pub(crate) type Stack = Vec<String>;

/// How often each stack was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Interned", into = "Interned")]
pub struct Stacks(BTreeMap<Stack, u64>);

/// Every name once: stacks share most of theirs.
#[derive(Serialize, Deserialize)]
struct Interned {
    names: Vec<String>,
    /// Indexes of names, outermost first, and how often.
    stacks: Vec<(Vec<usize>, u64)>,
}

impl Stacks {
    /// Adds `count` sightings of a stack; one without frames is not kept.
    pub fn add(&mut self, stack: Stack, count: u64) {
        if count > 0 && !stack.is_empty() {
            *self.0.entry(stack).or_default() += count;
        }
    }

    /// Adds what `others` hold.
    pub fn merge(&mut self, others: &Self) {
        for (stack, count) in &others.0 {
            self.add(stack.clone(), *count);
        }
    }

    /// Every stack, outermost frame first.
    pub fn iter(&self) -> impl Iterator<Item = (&[String], u64)> {
        self.0
            .iter()
            .map(|(stack, count)| (stack.as_slice(), *count))
    }

    /// The same without frames that only run others; see [`readable`].
    #[must_use]
    pub fn readable(&self) -> Self {
        let mut shown = Self::default();
        for (stack, count) in self.iter() {
            shown.add(readable(stack), count);
        }
        shown
    }

    /// All sightings.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The folded form that flame graphs are made of: frames joined by `;`, a space, a value; a line
    /// for each stack, its sightings times `unit`. Stacks that round to nothing are left out.
    #[must_use]
    pub fn folded(&self, unit: f64) -> String {
        let mut text = String::new();
        for (stack, count) in &self.0 {
            let value = (*count as f64 * unit).round() as u64;
            if value > 0 {
                // Writing into a string cannot fail.
                let _ = writeln!(text, "{} {value}", stack.join(";"));
            }
        }
        text
    }

    /// Reads the folded form; lines that are none are passed over.
    #[must_use]
    pub fn parse(folded: &str) -> Self {
        let mut stacks = Self::default();
        for line in folded.lines() {
            if let Some((frames, count)) = line.rsplit_once(' ')
                && let Ok(count) = count.parse()
            {
                stacks.add(frames.split(';').map(str::to_owned).collect(), count);
            }
        }
        stacks
    }
}

impl From<Stacks> for Interned {
    fn from(stacks: Stacks) -> Self {
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        let mut names = Vec::new();
        let mut index = |name: String| {
            *known.entry(name.clone()).or_insert_with(|| {
                names.push(name);
                names.len() - 1
            })
        };
        let stacks = stacks
            .0
            .into_iter()
            .map(|(stack, count)| (stack.into_iter().map(&mut index).collect(), count))
            .collect();
        Self { names, stacks }
    }
}

impl From<Interned> for Stacks {
    fn from(interned: Interned) -> Self {
        let mut stacks = Self::default();
        for (indexes, count) in interned.stacks {
            let name = |index: usize| interned.names.get(index).cloned();
            stacks.add(indexes.into_iter().filter_map(name).collect(), count);
        }
        stacks
    }
}

/// A name as folded stacks may have it, where `;` separates.
#[must_use]
pub(crate) fn frame_name(name: &str) -> String {
    name.replace(';', ",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stacks(lines: &[(&str, u64)]) -> Stacks {
        let mut stacks = Stacks::default();
        for (line, count) in lines {
            stacks.add(line.split(';').map(str::to_owned).collect(), *count);
        }
        stacks
    }

    #[test]
    fn stacks_come_back_from_both_forms() {
        let all = stacks(&[("a;b c;d", 3), ("a", 2), ("a;b c;d", 1)]);
        assert_eq!(all.total(), 6);
        assert_eq!(all.folded(1.0), "a 2\na;b c;d 4\n");
        assert_eq!(Stacks::parse(&all.folded(1.0)), all);
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(
            json,
            r#"{"names":["a","b c","d"],"stacks":[[[0],2],[[0,1,2],4]]}"#
        );
        assert_eq!(serde_json::from_str::<Stacks>(&json).unwrap(), all);
    }

    #[test]
    fn a_unit_scales_and_what_is_nothing_goes() {
        assert_eq!(stacks(&[("a", 1), ("b", 10)]).folded(0.25), "b 3\n");
        assert_eq!(Stacks::parse("no number\n\n"), Stacks::default());
    }
}
