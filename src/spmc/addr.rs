// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses and pages.

use core::fmt;

/// Bytes in a page: the 4 KiB granule, the only one that the SPMC uses.
pub const PAGE_SIZE: u64 = 4096;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// Tells whether the address is the first byte of a page.
            pub const fn is_page_aligned(self) -> bool {
                self.0 % PAGE_SIZE == 0
            }

            /// Adds bytes; `None` when the address space ends first.
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(a) => Some(Self(a)),
                    None => None,
                }
            }

            /// Returns the address of the page that holds this one.
            pub const fn page(self) -> Self {
                Self(self.0 & !(PAGE_SIZE - 1))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    };
}

address! {
    /// A physical address; the physical address space travels beside it as a [`Space`].
    Pa
}
address! {
    /// An intermediate physical address of a partition.
    Ipa
}

/// Names a physical address space, or the IPA space of a partition that maps to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// Secure: NS = 0.
    Secure,
    /// Non-secure: NS = 1.
    NonSecure,
}
