// SPDX-License-Identifier: MIT OR Apache-2.0

//! As many of something as an input has bytes for.

use arbitrary::{Arbitrary, Result, Unstructured};

/// A sequence that ends where the input does. A `Vec` asks after each element whether there is another, and so ends after two
/// or three on average: too early for a life.
#[derive(Clone, Debug)]
pub struct Many<T>(pub Vec<T>);

impl<'a, T: Arbitrary<'a>> Arbitrary<'a> for Many<T> {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let mut all = Vec::new();
        while !input.is_empty() {
            all.push(T::arbitrary(input)?);
        }
        Ok(Self(all))
    }
}
