// SPDX-License-Identifier: MIT OR Apache-2.0
//! The service of the receipts partition, apart from its transport.
#![no_std]
#![forbid(unsafe_code)]

pub use receipts;
