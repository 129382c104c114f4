// SPDX-License-Identifier: MIT OR Apache-2.0
//! The partition that is slow to take its messages, loses acks, or dies with one in its hands.
//!
//! Does what a test asks it to do: `sp/protocol.md`.
#![no_std]
#![no_main]

sp_rt::partition!(sp_service::run);
