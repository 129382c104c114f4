// SPDX-License-Identifier: MIT OR Apache-2.0
//! The key that signs trust bundles, fixed when the firmware is built.

use receipts_service::{Provisioning, VerifyingKey};
use sp_rt::log;

/// The key of the repository, for tests: its other half is public.
const TEST: [u8; 32] = parse(include_str!("provisioning.pub"));

/// `HEMATITE_PROVISIONING` at build time, as hexadecimal; `make firmware` takes it from the file that
/// `HEMATITE_PROVISIONING_KEY` names.
const KEY: [u8; 32] = match option_env!("HEMATITE_PROVISIONING") {
    Some(text) => parse(text),
    None => TEST,
};

/// Reads 64 hexadecimal digits; anything else ends the build.
const fn parse(text: &str) -> [u8; 32] {
    let digits = text.trim_ascii().as_bytes();
    assert!(digits.len() == 64, "a provisioning key has 64 hexadecimal digits");
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < digits.len() {
        let Some(digit) = (digits[at] as char).to_digit(16) else {
            panic!("a provisioning key is hexadecimal");
        };
        bytes[at / 2] = bytes[at / 2] << 4 | digit as u8;
        at += 1;
    }
    bytes
}

/// Gives the key.
pub(crate) fn key() -> Provisioning {
    match VerifyingKey::from_bytes(&KEY) {
        Err(_) => Provisioning::None,
        Ok(key) if KEY == TEST => Provisioning::Test(key),
        Ok(key) => Provisioning::Own(key),
    }
}

/// Says on the console whose trust bundles are taken.
pub(crate) fn report() {
    match key() {
        Provisioning::None => log!("receipts: the provisioning key is no key: no trust can be loaded"),
        Provisioning::Test(_) => {
            log!("receipts: TRUST IS PROVISIONED BY THE PUBLIC TEST KEY: anybody can say whom to trust");
        }
        Provisioning::Own(key) => log!("receipts: trust is provisioned by {}", receipts::PublicKey::from(key).text()),
    }
}
