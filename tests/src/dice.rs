// SPDX-License-Identifier: MIT OR Apache-2.0

//! Seeded random number generator, for random tests that can be repeated.

/// SplitMix64: equal seeds give equal numbers.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Returns a generator with this seed.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number below `sides`, which must not be 0.
    pub fn below(&mut self, sides: u32) -> u32 {
        (self.bits() >> 32) as u32 % sides
    }

    /// Returns an element of `from`, which must not be empty.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32) as usize]
    }

    /// Returns true with a probability of one in `sides`.
    pub fn one_in(&mut self, sides: u32) -> bool {
        self.below(sides) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_falls_the_same_and_another_does_not() {
        let fall = |seed| {
            let mut dice = Dice::of(seed);
            [(); 8].map(|()| dice.bits())
        };
        assert_eq!(fall(7), fall(7));
        assert_ne!(fall(7), fall(8));
    }

    /// Reference values of SplitMix64 with seed 1234567, as its author's C program prints them.
    #[test]
    fn bits_are_splitmix64() {
        let mut dice = Dice::of(1_234_567);
        assert_eq!([dice.bits(), dice.bits()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn below_stays_below() {
        let mut dice = Dice::of(1);
        assert!((0..1000).all(|_| dice.below(3) < 3));
    }
}
