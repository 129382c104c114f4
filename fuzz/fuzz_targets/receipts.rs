// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any call of the receipts service with any message: whatever comes, it answers, in parts that read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use receipts_service::protocol::{Call, MAX_ANSWER, PartWriter, Parts, Span, Tag};
use receipts_service::{Config, Life, Memory, Platform, Provisioning, Service};
use std::cell::RefCell;

struct Still;

impl Platform for Still {
    fn now(&mut self) -> Option<receipts::Instant> {
        receipts::Instant::from_unix(1_795_209_618, 0)
    }

    fn random(&mut self, bytes: &mut [u8]) -> bool {
        bytes.fill(7);
        true
    }

    fn ticks(&mut self) -> u64 {
        0
    }

    fn start_clock(&mut self) -> [u64; 2] {
        [0; 2]
    }

    fn resume_clock(&mut self, _: [u64; 2]) {}
}

fn start() -> Service<'static> {
    let config = Config { server_name: "fuzz", provisioning: Provisioning::None };
    let memory = Memory::of(vec![0; Memory::FIXED + 2 * 16].leak()).expect("room");
    let Ok((service, Life::First)) = Service::start(config, memory, &mut Still) else { panic!("a first life") };
    service
}

thread_local! {
    static SERVICE: RefCell<Service<'static>> = RefCell::new(start());
}

fuzz_target!(|input: &[u8]| {
    let [operation, flags, plain, rest @ ..] = input else { return };
    // Either the message is the input, or its parts are: texts between zero bytes, each with a tag before it.
    let mut message = vec![0; 2 * rest.len() + 4096];
    let mut writer = PartWriter::new(&mut message);
    for part in rest.split(|byte| *byte == 0).take(64) {
        if let [tag, value @ ..] = part
            && let Some(tag) = Tag::from_number((*tag).into())
        {
            writer.add(tag, value);
        }
    }
    let used = writer.used();
    let message = if *plain & 1 == 0 { &message[..used] } else { rest };
    let call = Call {
        operation: (*operation).into(),
        flags: (*flags).into(),
        handle: 0,
        message: Span::default(),
        answer: Span { offset: 0, length: MAX_ANSWER as u32 },
    };
    SERVICE.with_borrow_mut(|service| {
        let (reply, answer) = service.serve(&mut Still, call, message);
        assert_eq!(reply.written as usize, answer.len());
        assert!(receipts::Verdict::from_code(reply.code).is_some());
        assert!(Parts::new(&answer).all(|part| part.is_ok()));
    });
});
