// SPDX-License-Identifier: MIT OR Apache-2.0
//! The partition with a context for each CPU that dies when asked and is restarted.
//!
//! Does what a test asks it to do: `sp/protocol.md`.
#![no_std]
#![no_main]

sp_rt::partition!(sp_service::run);
