//! Which cases passed, read from the suite's output.

use std::collections::BTreeMap;
use std::io::BufRead;

use anyhow::{Result, bail};

use super::known::Known;

/// Each case that ran, and whether it passed.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<String, bool>);

impl Tally {
    /// Reads the suite's output to its end and shows every line.
    pub(super) fn read(output: impl BufRead, mut show: impl FnMut(&str)) -> Result<Self> {
        let mut tally = Self::default();
        for line in output.lines() {
            let line = line?;
            show(&line);
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("ok"), Some(case)) if case.contains('/') => tally.0.insert(case.into(), true),
                (Some("FAIL"), Some(case)) => tally.0.insert(case.into(), false),
                _ => None,
            };
        }
        Ok(tally)
    }

    /// How many cases ran.
    pub(super) fn total(&self) -> usize {
        self.0.len()
    }

    /// Prints the sum, and fails if a case differs that is not known to, or is known to and does not.
    pub(super) fn report(&self, known: &Known) -> Result<()> {
        let (expected, failed): (Vec<&str>, Vec<&str>) = self
            .0
            .iter()
            .filter(|(_, passed)| !**passed)
            .map(|(case, _)| case.as_str())
            .partition(|case| known.has(case));
        let stale: Vec<&str> = known
            .cases()
            .filter(|case| self.0.get(*case) == Some(&true))
            .collect();
        println!();
        for case in &expected {
            println!("known difference: {case}");
        }
        for case in &stale {
            println!("listed as a known difference, but passes: {case}");
        }
        let passed = self.total() - failed.len() - expected.len() - stale.len();
        println!(
            "parity: {passed} passed, {} failed",
            failed.len() + stale.len()
        );
        if failed.is_empty() && stale.is_empty() {
            return Ok(());
        }
        bail!(
            "{} of {} cases differ from their records",
            failed.len() + stale.len(),
            self.total()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "ok   copy/a \nFAIL copy/b - what it shows \n     config: Env\nFAIL run/c - other\n\ncopy  1 / 2\n";

    #[test]
    fn cases_are_counted_and_known_differences_excused() {
        let tally = Tally::read(OUTPUT.as_bytes(), |_| ()).unwrap();
        assert_eq!(tally.total(), 3);
        let known = |text: &str| Known::parse(&format!("[everywhere]\n{text}"), "machine").unwrap();
        assert!(
            tally
                .report(&known("\"copy/b\" = \"x\"\n\"run/c\" = \"y\"\n"))
                .is_ok()
        );
        assert!(
            tally.report(&known("\"copy/b\" = \"x\"\n")).is_err(),
            "run/c differs"
        );
        let stale = "\"copy/a\" = \"w\"\n\"copy/b\" = \"x\"\n\"run/c\" = \"y\"\n";
        assert!(tally.report(&known(stale)).is_err(), "copy/a passes");
    }
}
