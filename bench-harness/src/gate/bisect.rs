//! The first bad commit of a range, by halving it. Pure.

use std::collections::BTreeSet;

use anyhow::Result;

/// What a gate says of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing is worse.
    Good,
    /// Something is worse.
    Bad,
    /// It cannot tell, or there is nothing to measure.
    Unknown,
}

/// The last good and the first bad commit that are known, of commits from 0, which is good, to `bad`, which is
/// bad. All between the two are unknown.
///
/// # Errors
/// Those of `judge`.
pub(crate) fn bisect(
    mut bad: usize,
    mut judge: impl FnMut(usize) -> Result<Answer>,
) -> Result<(usize, usize)> {
    let mut good = 0;
    let mut unknown: BTreeSet<usize> = BTreeSet::new();
    loop {
        let middle = usize::midpoint(good, bad);
        let open = (good + 1..bad).filter(|commit| !unknown.contains(commit));
        let Some(next) = open.min_by_key(|commit| commit.abs_diff(middle)) else {
            return Ok((good, bad));
        };
        match judge(next)? {
            Answer::Good => good = next,
            Answer::Bad => bad = next,
            Answer::Unknown => {
                unknown.insert(next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_need_no_question() {
        let asked = bisect(1, |_| bail!("asked"));
        assert_eq!(asked.unwrap(), (0, 1));
        bisect(2, |_| bail!("asked")).unwrap_err();
    }

    #[test]
    fn what_is_unknown_is_left_between_good_and_bad() {
        let judge = |commit| {
            Ok(match commit {
                0..4 => Answer::Good,
                4..7 => Answer::Unknown,
                _ => Answer::Bad,
            })
        };
        assert_eq!(bisect(20, judge).unwrap(), (3, 7));
    }

    proptest! {
        #[test]
        fn the_first_bad_commit_is_found_in_few_questions(last in 1..500_usize, at in 0.0..1.0f64) {
            let first = 1 + (at * (last - 1) as f64) as usize;
            let mut questions = 0;
            let found = bisect(last, |commit| {
                questions += 1;
                Ok(if commit >= first { Answer::Bad } else { Answer::Good })
            });
            prop_assert_eq!(found.unwrap(), (first - 1, first));
            prop_assert!(questions <= 1 + last.ilog2(), "{questions}");
        }
    }
}
