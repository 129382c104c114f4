// SPDX-License-Identifier: MIT OR Apache-2.0
//! The partition that migrates: one execution context, which runs on whatever CPU calls it.
//!
//! Does what a test asks it to do: `sp/protocol.md`.
#![no_std]
#![no_main]

sp_rt::partition!(sp_service::run);
