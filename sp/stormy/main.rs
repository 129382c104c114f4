// SPDX-License-Identifier: MIT OR Apache-2.0
//! The partition that sends too much of what it should not.
//!
//! Does what a test asks it to do: `sp/protocol.md`.
#![no_std]
#![no_main]

sp_rt::partition!(sp_service::run);
