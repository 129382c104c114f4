// SPDX-License-Identifier: MIT OR Apache-2.0
//! The receipts partition: the transport around [`receipts_service`].
//!
//! A call names memory that its sender shared with or lent to this partition. The message is copied out of it before
//! anything looks at it, and the answer is built here and copied back, so nothing that the sender does to the memory
//! meanwhile changes what is judged.
#![no_std]
#![no_main]

mod clock;
mod transport;

use clock::Clock;
use ed25519_dalek::VerifyingKey;
use receipts::Instant;
use receipts_service::protocol::Operation;
use receipts_service::{Config, Platform, Service};
use sp_rt::{Context, Form, Heap, Message, device, log, random, serve};
use transport::Transport;

sp_rt::partition!(main, tables = 12);

/// Room for the largest message's parse, the answer, the trust and the nonces.
const HEAP: usize = 0x50000;

#[global_allocator]
static MEMORY: Heap<HEAP> = Heap::new();

/// The key that signs trust bundles, as hexadecimal. The one in the repository is for tests: its other half is public.
const PROVISIONING: &str = include_str!("provisioning.pub");

struct Machine {
    clock: Option<Clock>,
}

impl Platform for Machine {
    fn now(&mut self) -> Option<Instant> {
        self.clock.as_ref().and_then(Clock::now)
    }

    fn ticks(&mut self) -> u64 {
        device::ticks()
    }

    fn random(&mut self, bytes: &mut [u8]) -> bool {
        random::fill(bytes)
    }
}

fn provisioning() -> Option<VerifyingKey> {
    let digits = PROVISIONING.trim().as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for &digit in pair {
            *byte = *byte << 4 | u8::try_from(char::from(digit).to_digit(16)?).ok()?;
        }
    }
    VerifyingKey::from_bytes(&bytes).ok()
}

fn main(_: &'static Context) -> ! {
    if !sp_rt::cpu::has_sha256() {
        log!("receipts: this CPU lacks the SHA-256 instructions (FEAT_SHA256), which this image is built for");
        sp_rt::give_up()
    }
    let mut machine = Machine { clock: Clock::start() };
    let config = Config { server_name: "hematite", provisioning: provisioning(), nonces: 2048, compat_nonces: 64 };
    let Some(mut service) = Service::start(config, &mut machine) else {
        log!("receipts: too little memory");
        sp_rt::give_up()
    };
    match machine.now() {
        Some(now) => log!("receipts: the clock says {}", now.text()),
        None => log!("receipts: no clock; only compat calls with a time of their own are served"),
    }
    match service.public_key() {
        Some(key) => log!("receipts: signing with {}", key.text()),
        None => log!("receipts: the CPU has no random source (FEAT_RNG); nothing will be signed"),
    }

    let mut transport = Transport::new();
    serve(move |message: &mut Message| {
        let began = device::ticks();
        let words = [0, 1, 2, 3, 4].map(|word| message.arg(word));
        // Handles and addresses have 64 bits, which the 32-bit form would cut.
        let words = if message.form() == Form::Narrow { None } else { Some(words) };
        let mut reply = transport.answer(&mut service, &mut machine, message.source(), words);
        if message.arg(0) & 0xffff != Operation::Hello as u64 {
            reply.values[2] = device::ticks().saturating_sub(began);
        }
        message.reply(reply.registers());
    })
}
