use proptest::prelude::*;

use super::*;

fn design(looks: &Looks) -> Design<'_> {
    Design {
        looks,
        limit: Threshold::new(0.02).unwrap(),
        margin: Threshold::new(0.05).unwrap(),
        family: 1,
    }
}

/// The verdict on blocks of which all have been measured, and the blocks that it needed.
fn verdict(log_ratios: &[f64]) -> (Verdict, usize) {
    let looks = Looks::new(SESSION_BLOCKS, MOST_BLOCKS);
    let of = |blocks: usize| log_ratios[..blocks].to_vec();
    let decision = design(&looks).judge(log_ratios.len(), of).unwrap();
    (decision.verdict, decision.comparison.blocks)
}

/// So many blocks about `effect` that differ by a few per cent.
fn blocks(effect: f64, count: usize) -> Vec<f64> {
    let noise = |block: usize| 0.004 * ((block * 7 % 11) as f64 - 5.0);
    (0..count).map(|block| effect + noise(block)).collect()
}

#[test]
fn all_looks_together_spend_the_whole_error() {
    for looks in [
        Looks::new(SESSION_BLOCKS, MOST_BLOCKS),
        Looks::new(48, 320),
        Looks::new(6, 24),
        Looks::new(400, 320),
    ] {
        let shares: Vec<f64> = looks.shares().map(|(_, share)| share).collect();
        let sum: f64 = shares.iter().sum();
        assert!((sum - 1.0).abs() < 1e-12, "{looks:?}: {shares:?}");
        assert!(shares.iter().all(|share| *share > 0.0));
    }
    let shares: Vec<String> = Looks::new(SESSION_BLOCKS, MOST_BLOCKS)
        .shares()
        .map(|(look, share)| format!("{look}: {:.1}%", 100.0 * share))
        .collect();
    assert_eq!(
        shares,
        [
            "12: 1.7%",
            "24: 2.3%",
            "48: 5.4%",
            "96: 12.9%",
            "160: 19.8%",
            "320: 58.0%"
        ]
    );
}

#[test]
fn looks_begin_where_they_are_asked_to() {
    let looks = Looks::new(20, 96);
    assert_eq!(looks, Looks(vec![20, 24, 48, 96]));
    assert_eq!(looks.after(0), Some(20));
    assert_eq!(looks.after(30), Some(48));
    assert_eq!(looks.after(96), None);
    assert!(looks.contains(48) && !looks.contains(12));
}

#[test]
fn verdicts_and_the_blocks_that_they_take() {
    use Verdict::{Equivalent, Improved, Inconclusive, Regressed};
    for (effect, expected) in [
        (0.0, (Equivalent, 12)),
        (-0.10, (Improved, 12)),
        // Faster, and not by more than the limit.
        (-0.015, (Equivalent, 12)),
        // Worse for certain and within the limit: it passes as soon as 5% is ruled out.
        (0.012, (Equivalent, 12)),
        // Nothing is slower after one start of the server.
        (0.06, (Regressed, 24)),
        (0.60, (Regressed, 24)),
    ] {
        assert_eq!(verdict(&blocks(effect, 24)), expected, "{effect}");
    }
    assert_eq!(verdict(&blocks(0.06, 12)), (Inconclusive, 12));
    assert_eq!(verdict(&blocks(0.06, 23)), (Inconclusive, 12));
}

#[test]
fn nothing_is_decided_before_the_first_look_or_without_blocks() {
    let looks = Looks::new(SESSION_BLOCKS, MOST_BLOCKS);
    let of = |count: usize| blocks(0.0, count);
    assert_eq!(design(&looks).judge(11, of), None);
    assert_eq!(design(&looks).judge(12, |_| Vec::new()), None);
    // With as many void blocks, none is left for the level of the first look.
    let void = design(&looks).judge(12, |_| blocks(0.0, 6)).unwrap();
    assert_eq!(void.verdict, Verdict::Inconclusive);
}

#[test]
fn a_family_needs_more_evidence() {
    let looks = Looks::new(SESSION_BLOCKS, MOST_BLOCKS);
    // Slower by 5%, with noise of as much.
    let of = |count: usize| -> Vec<f64> {
        let noise = blocks(0.0, count).into_iter();
        noise.map(|noise| 0.05 + 3.0 * noise).collect()
    };
    let alone = design(&looks).judge(24, of).unwrap();
    let many = Design {
        family: 1_000,
        ..design(&looks)
    };
    let many = many.judge(24, of).unwrap();
    assert_eq!(
        (alone.verdict, many.verdict),
        (Verdict::Regressed, Verdict::Inconclusive)
    );
    assert!(many.adjusted_p > alone.adjusted_p);
}

#[test]
fn intervals_of_looks_are_wider_than_those_of_one_comparison() {
    let looks = Looks::new(SESSION_BLOCKS, MOST_BLOCKS);
    let of = |count: usize| blocks(0.0, count);
    let all = looks.comparisons(50, 1, of);
    assert_eq!(
        all.iter().map(|one| one.blocks).collect::<Vec<_>>(),
        [24, 48]
    );
    let alone = compare(&of(48), CONFIDENCE_LEVEL).unwrap();
    assert!(all[1].interval.low < alone.interval.low && all[1].interval.high > alone.interval.high);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn more_blocks_change_no_decision(ratios in prop::collection::vec(-0.12..0.15f64, 48)) {
        let (early, of_blocks) = verdict(&ratios[..24]);
        if early != Verdict::Inconclusive {
            prop_assert_eq!(verdict(&ratios), (early, of_blocks));
        }
    }

    #[test]
    fn a_slower_head_is_judged_no_better(
        ratios in prop::collection::vec(-0.12..0.12f64, 48),
        shift in 0.0..0.1f64,
    ) {
        let slower: Vec<f64> = ratios.iter().map(|ratio| ratio + shift).collect();
        let passes = |verdict| matches!(verdict, Verdict::Equivalent | Verdict::Improved);
        let ((before, _), (after, _)) = (verdict(&ratios), verdict(&slower));
        prop_assert!(before != Verdict::Regressed || after == Verdict::Regressed);
        prop_assert!(!passes(after) || passes(before));
    }
}
