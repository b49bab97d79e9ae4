// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sequence of as many elements as an input has bytes for.

use arbitrary::{Arbitrary, Result, Unstructured};

/// Sequence that ends where the input does. A `Vec` of `arbitrary` ends after two or three elements on average, which
/// is too early for a history.
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
