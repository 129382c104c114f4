// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SPMC: everything that decides, as safe Rust that also runs on the host.
#![no_std]
#![forbid(unsafe_code)]
