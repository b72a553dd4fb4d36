//! Seeded randomness.

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014; constants of the reference C code).
///
/// Its output is fixed by its definition, so that golden hashes survive every upgrade of a
/// dependency, and a generator for any row costs one addition and two mixes, where ChaCha would
/// compute a block of 64 bytes per row. Nothing here needs to be unpredictable.
#[derive(Debug, Clone)]
pub(super) struct SplitMix64(u64);

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl SplitMix64 {
    /// The generator of one `row`: a function of the three arguments and of nothing else.
    ///
    /// Both mixes matter: rows would otherwise start one step apart on the same sequence.
    pub(super) fn for_row(stream: u64, seed: u64, row: u64) -> Self {
        Self(mix(mix(stream ^ mix(seed)) ^ row.wrapping_mul(GAMMA)))
    }

    /// The next 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// A number below `bound`, which must not be zero, by multiply and shift. The bias is below
    /// bound ÷ 2^64.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number of `min..=max`; the whole range of `i64` is allowed.
    pub(super) fn between(&mut self, min: i64, max: i64) -> i64 {
        let span = max.wrapping_sub(min) as u64;
        let offset = match span.checked_add(1) {
            Some(bound) => self.below(bound),
            None => self.next(),
        };
        min.wrapping_add(offset as i64)
    }

    /// One of `items`, which must not be empty.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.index(items.len())]
    }

    /// An index into something of that length, which must not be 0.
    pub(super) fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_published_sequence() {
        // The first outputs for seed 1234567, as published with the reference code.
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
        assert_eq!(random.next(), 9_817_491_932_198_370_423);
    }

    #[test]
    fn between_takes_the_whole_range_and_a_single_number() {
        let mut random = SplitMix64(1);
        for _ in 0..100 {
            assert_eq!(random.between(7, 7), 7);
            assert!((-3..=3).contains(&random.between(-3, 3)));
            random.between(i64::MIN, i64::MAX);
        }
    }
}
