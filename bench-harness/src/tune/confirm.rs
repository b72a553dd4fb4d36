//! Whether the search was right: fresh loads of what it found beside `tuned`, and what to recommend.

use std::time::Duration;

use anyhow::Result;

use super::bench::Bench;
use super::candidates::Candidate;
use super::contest::{Contest, Rules};
use super::search::{Found, Order};
use crate::stats::{
    CONFIDENCE_LEVEL, Judged, Summary, UNCALIBRATED, Verdict, blocks_needed, judge_family,
};

/// Most blocks of a confirmation. Sixteen are those of a claim of the suite; more of them narrow an
/// interval by the root of their number.
const MOST_BLOCKS: usize = 24;

/// What the confirmation came to.
#[derive(Debug, Clone)]
pub(crate) struct Confirmation {
    /// What ran: `tuned` first. It ran alone, and so not at all, if there is nothing else.
    pub(crate) finalists: Vec<Finalist>,
    /// The one to use, by index.
    pub(crate) recommended: usize,
    /// Why that one.
    pub(crate) reason: Reason,
    /// What the user has now, by index.
    pub(crate) current: usize,
    /// Blocks in which the host spoiled a load.
    pub(crate) spoiled: usize,
}

/// A configuration of the confirmation.
#[derive(Debug, Clone)]
pub(crate) struct Finalist {
    /// The configuration.
    pub(crate) candidate: Candidate,
    /// Its times, in seconds; none if it never ran.
    pub(crate) seconds: Option<Summary>,
    /// Its time as a multiple of that of `tuned`; none for itself, and without a common block.
    pub(crate) against_tuned: Option<Judged>,
    /// Why it was given up, if it was.
    pub(crate) given_up: Option<String>,
}

/// Why a configuration is recommended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It is faster than the others.
    Faster,
    /// The search found nothing faster.
    NothingFaster,
    /// What the search found is not faster for certain, or not by so much that it matters.
    NotDistinguished,
    /// There was no time to try anything, or for as many blocks as a verdict needs.
    TooFewBlocks,
}

/// Runs `tuned`, what the user has, and what the search found in fresh blocks, as many as there is time
/// for, and decides.
///
/// The number of blocks does not depend on what they show.
///
/// # Errors
/// Those of the bench, and when `tuned` fails.
pub(crate) async fn confirm(
    bench: &mut impl Bench,
    order: &Order,
    found: &Found,
) -> Result<Confirmation> {
    let mut candidates = vec![Candidate::tuned()];
    let mut place = |candidate: &Candidate| {
        let known = candidates.iter();
        let known = known
            .map(|one| found.facts.are_alike(one, candidate))
            .position(|alike| alike);
        known.unwrap_or_else(|| {
            candidates.push(candidate.clone());
            candidates.len() - 1
        })
    };
    let (current, best) = (place(&order.current), place(&found.best));
    let rules = Rules {
        usual: found.first_whole.max(found.rules.usual),
        gives_up: false,
        ..found.rules
    };
    let mut contest = Contest::new(candidates, rules);
    if contest.arms.len() > 1 {
        bench.say("confirming what was found, beside tuned, in fresh loads");
        run(bench, &mut contest, order).await?;
    }
    let judged = judged(&contest, current, best);
    let tried_nothing = found.trials.is_empty() && found.cut_short;
    Ok(match judged.reason {
        Reason::NothingFaster if tried_nothing => Confirmation {
            reason: Reason::TooFewBlocks,
            ..judged
        },
        _ => judged,
    })
}

async fn run(bench: &mut impl Bench, contest: &mut Contest, order: &Order) -> Result<()> {
    // The first blocks show what the others take.
    let seed = order.seed.wrapping_neg();
    if !contest.run(bench, 2, seed, order.budget).await? {
        return Ok(());
    }
    let left = order.budget.saturating_sub(bench.elapsed());
    let block = contest.block().max(Duration::from_millis(1));
    let fitting = (left.as_secs_f64() / block.as_secs_f64()) as usize;
    // An even number: drift cancels in pairs.
    let more = fitting.min(MOST_BLOCKS - 2) / 2 * 2;
    let seed = seed.wrapping_sub(1);
    contest.run(bench, more, seed, order.budget).await?;
    Ok(())
}

/// Judges the blocks of a contest whose first arm is `tuned`.
fn judged(contest: &Contest, current: usize, best: usize) -> Confirmation {
    // Read together, so judged together.
    let mut pairs: Vec<(usize, usize)> = (1..contest.arms.len()).map(|arm| (arm, 0)).collect();
    if current > 0 && best > 0 && current != best {
        pairs.push((best, current));
    }
    let ratios: Vec<Vec<f64>> = pairs
        .iter()
        .map(|(arm, other)| contest.log_ratios(*arm, *other))
        .collect();
    let thresholds = vec![UNCALIBRATED; pairs.len()];
    let (all, _) = judge_family(&ratios, &thresholds, CONFIDENCE_LEVEL);
    let of = |arm: usize, other: usize| {
        let index = pairs.iter().position(|pair| *pair == (arm, other));
        index.and_then(|index| all[index])
    };
    let is_faster = |arm: usize, other: usize| {
        let is_in = contest.arms[arm].out.is_none();
        is_in && of(arm, other).is_some_and(|judged| judged.verdict == Verdict::Improved)
    };
    // `tuned` beside what the user has is the same comparison the other way round.
    let tuned_is_faster = of(current, 0).is_some_and(|judged| judged.verdict == Verdict::Regressed)
        || contest.arms[current].out.is_some();

    let of_two = if is_faster(best, 0) { best } else { 0 };
    let recommended = match () {
        () if current == 0 || of_two == current => of_two,
        () if of_two == 0 && tuned_is_faster => 0,
        () if of_two > 0 && (is_faster(of_two, current) || contest.arms[current].out.is_some()) => {
            of_two
        }
        // To change nothing is simplest.
        () => current,
    };
    let blocks = ratios.iter().map(Vec::len).max().unwrap_or(0);
    let finalist = |(index, arm): (usize, &super::contest::Arm)| {
        let seconds: Vec<f64> = arm.seconds.iter().flatten().copied().collect();
        Finalist {
            candidate: arm.candidate.clone(),
            seconds: Summary::new(&seconds),
            against_tuned: of(index, 0),
            given_up: arm.out.clone(),
        }
    };
    Confirmation {
        finalists: contest.arms.iter().enumerate().map(finalist).collect(),
        recommended,
        reason: match () {
            () if best == 0 && current == 0 => Reason::NothingFaster,
            () if blocks < blocks_needed(CONFIDENCE_LEVEL) => Reason::TooFewBlocks,
            () if recommended != current && recommended > 0 => Reason::Faster,
            () if recommended == 0 && current > 0 && tuned_is_faster => Reason::Faster,
            () if recommended == current && current == best && is_faster(best, 0) => {
                Reason::NothingFaster
            }
            () => Reason::NotDistinguished,
        },
        current,
        spoiled: contest.spoiled,
    }
}

#[cfg(test)]
mod tests {
    use super::super::candidates::CONCURRENCY;
    use super::*;

    /// A contest of `tuned` and others whose times are these multiples of it, over `blocks` blocks that
    /// scatter by a per cent.
    fn contest(multiples: &[f64], blocks: usize) -> Contest {
        let rules = Rules {
            usual: Duration::from_secs(1),
            gives_up: false,
            minds_retries: true,
        };
        let candidates = (0..=multiples.len()).map(|nth| match nth {
            0 => Candidate::tuned(),
            nth => Candidate::tuned().with(CONCURRENCY, &(8 * nth).to_string()),
        });
        let mut contest = Contest::new(candidates, rules);
        for (arm, multiple) in contest.arms.iter_mut().zip([&[1.0], multiples].concat()) {
            arm.seconds = (0..blocks)
                .map(|block| Some(multiple * (1.0 + 0.01 * (block * 7 % 5) as f64)))
                .collect();
        }
        // Their scatter is not the same.
        for (nth, arm) in contest.arms.iter_mut().enumerate() {
            arm.seconds.rotate_left(nth.min(blocks));
        }
        contest
    }

    fn decided(multiples: &[f64], blocks: usize, current: usize, best: usize) -> (usize, Reason) {
        let judged = judged(&contest(multiples, blocks), current, best);
        (judged.recommended, judged.reason)
    }

    #[test]
    fn what_is_faster_than_tuned_is_recommended() {
        assert_eq!(decided(&[0.5], 10, 0, 1), (1, Reason::Faster));
        let judged = judged(&contest(&[0.5], 10), 0, 1);
        let ratio = judged.finalists[1].against_tuned.unwrap().comparison;
        assert!(
            ratio.interval.low > 0.47 && ratio.interval.high < 0.53,
            "{ratio:?}"
        );
        assert_eq!(judged.finalists[1].seconds.unwrap().count, 10);
        assert!(judged.finalists[0].against_tuned.is_none());
    }

    #[test]
    fn what_is_not_told_from_tuned_is_not_recommended() {
        for multiple in [0.99, 1.0, 1.3] {
            assert_eq!(
                decided(&[multiple], 10, 0, 1),
                (0, Reason::NotDistinguished)
            );
        }
        // A gain of 3% is certain here, and does not matter.
        assert_eq!(decided(&[0.97], 24, 0, 1), (0, Reason::NotDistinguished));
    }

    #[test]
    fn too_few_blocks_recommend_nothing_new() {
        assert_eq!(decided(&[0.5], 4, 0, 1), (0, Reason::TooFewBlocks));
        assert_eq!(decided(&[0.5], 0, 0, 1), (0, Reason::TooFewBlocks));
        assert_eq!(decided(&[], 0, 0, 0), (0, Reason::NothingFaster));
    }

    #[test]
    fn what_the_user_has_stays_unless_something_is_faster() {
        // What the user has is number 1, what was found number 2.
        assert_eq!(decided(&[1.5, 0.5], 10, 1, 2), (2, Reason::Faster));
        assert_eq!(
            decided(&[0.5, 0.5], 10, 1, 2),
            (1, Reason::NotDistinguished)
        );
        assert_eq!(decided(&[1.5, 1.0], 10, 1, 2), (0, Reason::Faster));
        assert_eq!(
            decided(&[1.0, 1.0], 10, 1, 2),
            (1, Reason::NotDistinguished)
        );
        // It is what the search ended with.
        assert_eq!(decided(&[0.5], 10, 1, 1), (1, Reason::NothingFaster));
        assert_eq!(decided(&[1.5], 10, 1, 0), (0, Reason::Faster));
        assert_eq!(decided(&[1.0], 10, 1, 0), (1, Reason::NotDistinguished));
    }

    #[test]
    fn what_fails_in_the_confirmation_is_not_recommended() {
        let mut contest = contest(&[0.5], 10);
        contest.arms[1].out = Some("the API refused requests".to_owned());
        let judged = judged(&contest, 0, 1);
        assert_eq!(judged.recommended, 0);
        assert!(judged.finalists[1].given_up.is_some());
    }
}
