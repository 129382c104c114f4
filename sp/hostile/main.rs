// SPDX-License-Identifier: MIT OR Apache-2.0
//! The partition that misbehaves: dies when asked and is restarted, and keeps Non-secure interrupts waiting.
//!
//! Does what a test asks it to do: `sp/protocol.md`.
#![no_std]
#![no_main]

sp_rt::partition!(sp_service::run);
