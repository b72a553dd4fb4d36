//! The order in which a run takes its samples.
//!
//! A block holds every arm once. Blocks come in pairs: the first of a pair has the arms in random
//! order, the second has them in reverse (with two arms, ABBA or BAAB at random). Any drift that is
//! linear over a pair, such as a growing server or a warming machine, then adds the same to every
//! arm and cancels from their ratios. (Abedi and Brecht, "Conducting Repeatable Experiments in
//! Highly Variable Cloud Computing Environments", ICPE 2017, found differences of up to 38% between
//! identical systems when arms were run one after the other.)

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;

/// The arms, of so many, that run once before the `missing` blocks, by number. Before the first block all do: a
/// program is read from disk for the first time then. On a server that was started anew, one load is enough to warm it
/// up; only arms that start `cold` again have one each.
pub(crate) fn warm_ups(
    arms: usize,
    missing: &BTreeSet<usize>,
    cold: impl Fn(usize) -> bool,
) -> Vec<usize> {
    let is_first = missing.contains(&0);
    (0..arms)
        .filter(|&arm| is_first || arm == 0 || cold(arm))
        .collect()
}

/// One sample to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Block, from 0.
    pub block: usize,
    /// Position within the block, from 0.
    pub position: usize,
    /// Arm, as an index into the caller's list of arms.
    pub arm: usize,
}

/// The slots of a run, in the order in which to take them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    slots: Vec<Slot>,
}

impl Schedule {
    /// Orders `blocks` blocks of `arms` arms; the same arguments give the same order.
    ///
    /// With an odd number of blocks the last one has no mirror: drift does not cancel there, so
    /// callers should ask for an even number.
    #[must_use]
    pub(crate) fn new(seed: u64, arms: usize, blocks: usize) -> Self {
        // A generator named by its algorithm: that of `StdRng` may change with any release of
        // `rand`, and a seed from an old report would then give another order.
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut order: Vec<usize> = (0..arms).collect();
        let mut slots = Vec::with_capacity(arms * blocks);
        for block in 0..blocks {
            if block % 2 == 0 {
                order.shuffle(&mut random);
            } else {
                order.reverse();
            }
            slots.extend(order.iter().enumerate().map(|(position, &arm)| Slot {
                block,
                position,
                arm,
            }));
        }
        Self { slots }
    }

    /// The slots in order.
    #[must_use]
    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn orders(schedule: &Schedule, arms: usize) -> Vec<Vec<usize>> {
        schedule
            .slots()
            .chunks(arms)
            .map(|block| block.iter().map(|slot| slot.arm).collect())
            .collect()
    }

    #[test]
    fn the_order_of_a_seed_stays_the_same_across_versions() {
        let order: Vec<Vec<usize>> = orders(&Schedule::new(7, 3, 6), 3);
        insta::assert_compact_debug_snapshot!(order, @"[[0, 1, 2], [2, 1, 0], [0, 1, 2], [2, 1, 0], [2, 0, 1], [1, 0, 2]]");
    }

    #[test]
    fn two_arms_run_as_abba_and_baab() {
        let schedule = Schedule::new(1, 2, 40);
        let pairs: Vec<Vec<usize>> = schedule
            .slots()
            .chunks(4)
            .map(|pair| pair.iter().map(|slot| slot.arm).collect())
            .collect();
        assert!(
            pairs
                .iter()
                .all(|pair| *pair == [0, 1, 1, 0] || *pair == [1, 0, 0, 1])
        );
        assert!(pairs.contains(&vec![0, 1, 1, 0]) && pairs.contains(&vec![1, 0, 0, 1]));
    }

    #[test]
    fn another_seed_is_another_order() {
        assert_ne!(
            Schedule::new(1, 6, 10).slots(),
            Schedule::new(2, 6, 10).slots()
        );
    }

    #[test]
    fn nothing_to_run_is_an_empty_schedule() {
        assert!(Schedule::new(1, 0, 10).slots().is_empty());
        assert!(Schedule::new(1, 3, 0).slots().is_empty());
    }

    proptest! {
        #[test]
        fn every_block_holds_every_arm_once(seed: u64, arms in 1usize..8, blocks in 1usize..12) {
            let schedule = Schedule::new(seed, arms, blocks);
            prop_assert_eq!(schedule.slots().len(), arms * blocks);
            for (block, slots) in schedule.slots().chunks(arms).enumerate() {
                let mut seen: Vec<usize> = slots.iter().map(|slot| slot.arm).collect();
                seen.sort_unstable();
                prop_assert_eq!(seen, (0..arms).collect::<Vec<_>>());
                for (position, slot) in slots.iter().enumerate() {
                    prop_assert_eq!((slot.block, slot.position), (block, position));
                }
            }
        }

        #[test]
        fn the_same_seed_is_the_same_order(seed: u64, arms in 1usize..8, blocks in 1usize..12) {
            prop_assert_eq!(Schedule::new(seed, arms, blocks), Schedule::new(seed, arms, blocks));
        }

        #[test]
        fn linear_drift_adds_the_same_to_every_arm(seed: u64, arms in 1usize..8, pairs in 1usize..6) {
            let schedule = Schedule::new(seed, arms, 2 * pairs);
            for pair in schedule.slots().chunks(2 * arms) {
                // The drift of a slot is its place in time; mirrored, the two places of an arm add
                // up alike.
                for arm in 0..arms {
                    let drift: usize =
                        pair.iter().enumerate().filter(|(_, slot)| slot.arm == arm).map(|(time, _)| time).sum();
                    prop_assert_eq!(drift, 2 * arms - 1);
                }
            }
        }
    }
}
