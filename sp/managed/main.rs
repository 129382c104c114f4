// SPDX-License-Identifier: MIT OR Apache-2.0
//! The partition that is told of Non-secure interrupts and finishes by itself (managed exit).
//!
//! Does what a test asks it to do: `sp/protocol.md`.
#![no_std]
#![no_main]

sp_rt::partition!(sp_service::run);
