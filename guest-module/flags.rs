// SPDX-License-Identifier: GPL-2.0-only

//! Sets of flags without a crate: the kernel has no bitflags.
//!
//! The wire is compiled into the module and into crates of the host. It lists its flags once, in
//! `flags!`, which is
//! `bitflags!` there and the macro below here.

/// Implements a set of flags over a tuple struct of one unsigned integer. Bits without a name are
/// kept.
macro_rules! flags {
    (impl $set:ident: $bits:ty { $($(#[$doc:meta])* const $flag:ident = $value:expr;)* }) => {
        impl $set {
            $($(#[$doc])* pub const $flag: Self = Self($value);)*

            /// Returns the set without a flag.
            pub const fn empty() -> Self {
                Self(0)
            }

            /// Returns the set of all flags that have a name.
            pub const fn all() -> Self {
                Self(0 $(| $value)*)
            }

            /// Returns whether no flag is set.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Returns whether every flag of `other` is set.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Returns the flags that are set in either.
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// Returns the flags that are set in both.
            pub const fn intersection(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }

            /// Returns the flags that are set, without those of `other`.
            pub const fn difference(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }
        }

        // Uses what a set has and its users need not, as with bitflags.
        const _: bool = $set::all().difference($set::empty()).is_empty();

        impl core::ops::BitOr for $set {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                self.union(other)
            }
        }

        impl core::ops::BitOrAssign for $set {
            fn bitor_assign(&mut self, other: Self) {
                *self = self.union(other);
            }
        }

        impl core::ops::BitAnd for $set {
            type Output = Self;

            fn bitand(self, other: Self) -> Self {
                self.intersection(other)
            }
        }
    };
}

#[cfg(test)]
#[expect(unreachable_pub, reason = "the sets of the module are as visible as their types")]
mod tests {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Colours(u8);

    flags! {
        impl Colours: u8 {
            /// Red.
            const RED = 1;
            /// Blue.
            const BLUE = 1 << 2;
        }
    }

    #[test]
    fn flags_of_the_kernel_behave_as_bitflags_do() {
        let both = Colours::RED | Colours::BLUE;
        let unknown = Colours(0x80);
        assert_eq!((both, Colours::all(), Colours::empty()), (Colours(5), Colours(5), Colours(0)));
        assert!(Colours::empty().is_empty() && !unknown.is_empty());
        assert!(
            both.contains(Colours::RED)
                && both.contains(Colours::empty())
                && !Colours::RED.contains(both)
        );
        assert_eq!(both.difference(Colours::RED), Colours::BLUE);
        assert_eq!((both | unknown).difference(both), unknown);
        assert_eq!(both & (Colours::RED | unknown), Colours::RED);
    }
}
