// SPDX-License-Identifier: MIT OR Apache-2.0
//! The receipts partition: the transport around [`receipts_service`].
//!
//! A call names memory that its sender shared with or lent to this partition. The message is copied out of it before
//! anything looks at it, and the answer is built here and copied back, so nothing that the sender does to the memory
//! meanwhile changes what is judged.
#![no_std]

mod clock;
mod provisioning;
mod transport;

use clock::Clock;
use receipts::Instant;
use receipts_service::protocol::Operation;
use receipts_service::{Config, Damaged, Life, Memory, Platform, Service};
use sp_rt::state::Preserved;
use sp_rt::{Form, Heap, Message, device, log, random};
use transport::Transport;

/// Room for the largest message's parse, the answer and the trust.
const HEAP: usize = 0x48000;

#[global_allocator]
static MEMORY: Heap<HEAP> = Heap::new();

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

    fn start_clock(&mut self) -> [u64; 2] {
        self.clock = Clock::start();
        self.clock.as_ref().map_or([0; 2], Clock::readings)
    }

    fn resume_clock(&mut self, from: [u64; 2]) {
        self.clock = Clock::resume(from);
    }
}

/// The partition at work.
pub struct Receipts<'a> {
    service: Service<'a>,
    machine: Machine,
    transport: Transport,
}

impl<'a> Receipts<'a> {
    /// Starts the service on what outlives a restart, or gives this context up and says why.
    pub fn start(state: Option<&'a mut Preserved>) -> Self {
        if !sp_rt::cpu::has_sha256() {
            log!("receipts: this CPU lacks the SHA-256 instructions (FEAT_SHA256), which this image is built for");
            sp_rt::give_up()
        }
        let Some(memory) = state.map(Preserved::words).and_then(Memory::of) else {
            log!("receipts: the manifest preserves too little memory");
            sp_rt::give_up()
        };
        let mut machine = Machine { clock: None };
        let config = Config { server_name: "hematite", provisioning: provisioning::key() };
        match Service::start(config, memory, &mut machine) {
            Ok((service, life)) => {
                let mut receipts = Self { service, machine, transport: Transport::new() };
                receipts.report(life);
                receipts
            }
            Err(Damaged) => {
                log!("receipts: what the life before left is damaged: nothing will be served on it");
                sp_rt::give_up()
            }
        }
    }

    fn report(&mut self, life: Life) {
        if life == Life::Later {
            log!("receipts: goes on with the history from before its restart");
        }
        match self.machine.now() {
            Some(now) => log!("receipts: the clock says {}", now.text()),
            None => log!("receipts: no clock; only compat calls with a time of their own are served"),
        }
        match self.service.public_key() {
            Some(key) => log!("receipts: signing with {}", key.text()),
            None => log!("receipts: the CPU has no random source (FEAT_RNG); nothing will be signed"),
        }
        provisioning::report();
    }

    /// Answers a direct request.
    pub fn answer(&mut self, message: &mut Message) {
        let began = device::ticks();
        let words = [0, 1, 2, 3, 4].map(|word| message.arg(word));
        // Handles and addresses have 64 bits, which the 32-bit form would cut.
        let words = if message.form() == Form::Narrow { None } else { Some(words) };
        let mut reply = self.transport.answer(&mut self.service, &mut self.machine, message.source(), words);
        if message.arg(0) & 0xffff != Operation::Hello as u64 {
            reply.values[2] = device::ticks().saturating_sub(began);
        }
        message.reply(reply.registers());
    }
}
