// SPDX-License-Identifier: MIT OR Apache-2.0
//! The partition SDK: what an S-EL1 partition needs between its entry point and its own code.
#![no_std]
