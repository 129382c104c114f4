// SPDX-License-Identifier: MIT OR Apache-2.0
//! Partitions held against each other.

use ffa_abi::PartitionId;

use super::{PARTITION, PARTITION_1_1, SPMC, core_manifest, edit, partition, refused};
use crate::Pa;
use crate::manifest::{PartitionManifest, Refusal, platform};

const SPMC_MEMORY: (Pa, u64) = (Pa(0xe10_0000), 0x20_0000);

/// Checks the partition of `vm2` after that of `vm1`.
fn second(spmc: &str, first: &str, second: &str) -> Result<PartitionId, Refusal> {
    let core = core_manifest(spmc).unwrap();
    let first = partition(first, 0xe30_0000).unwrap();
    let second = partition(second, 0xe40_0000).unwrap();
    assert_eq!(platform::check(&core, SPMC_MEMORY, 0, &first, &[]), Ok(platform::id_of(0, &first)));
    platform::check(&core, SPMC_MEMORY, 1, &second, &[(0, &first)])
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn good_partitions_get_their_identifiers() {
    assert_eq!(second(SPMC, PARTITION_1_1, PARTITION), Ok(PartitionId(0x8010)));
    let without = edit(PARTITION, "\tid = <0x8010>;", "");
    assert_eq!(second(SPMC, PARTITION_1_1, &without), Ok(PartitionId(0x8002)));
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn each_rule_refuses_in_words() {
    let with = |from: &str, to: &str| second(SPMC, PARTITION_1_1, &edit(PARTITION, from, to));
    for (from, to, words) in [
        (
            "execution-ctx-count = <4>;",
            "execution-ctx-count = <3>;",
            "partition manifest of 'percpu': execution-ctx-count is 0x3",
        ),
        ("entrypoint-offset = <0x0 0x2000>;", "entrypoint-offset = <0x100000>;", "entrypoint-offset is 0x100000"),
        ("entrypoint-offset = <0x0 0x2000>;", "entrypoint-offset = <0x2>;", "entrypoint-offset is 0x2"),
        ("<0x0 0x48000000>", "<0x0 0x3fff0000>", "is not inside a \"ns-memory\" node"),
        ("attributes = <0xb>;", "attributes = <3>;", "is not inside a \"memory\" node"),
        (
            "<0x0 0x48000000>; attributes = <0xb>",
            "<0xe110000>; attributes = <3>",
            "overlaps 'the SPMC' 0xe100000-0xe2fffff",
        ),
        (
            "<0x0 0x48000000>; attributes = <0xb>",
            "<0xe300000>; attributes = <3>",
            "overlaps 'echo' 0xe300000-0xe3fffff",
        ),
        ("<0x0 0x48000000>; attributes = <0xb>", "<0xe4f8000>; attributes = <3>", "overlaps 'percpu' 0xe400000"),
        (
            "<0x0 0x48000000>; attributes = <0xb>",
            "<0xe410000>; attributes = <3>",
            "/shared: memory region 0xe410000-0xe41ffff overlaps 'rx'",
        ),
        (
            "<0x0 0x48000000>; attributes = <0xb>",
            "<0xe430000>; attributes = <0xb>",
            "attributes contradicts the partition's own",
        ),
        (
            "load-address-relative-offset = <0x11000>",
            "load-address-relative-offset = <0x100000>",
            "/tx: memory region 0xe500000",
        ),
        (
            "<0x0 0x9040000>",
            "<0x0 0x9050000>",
            "/uart1: base-address 0x9050000-0x9050fff is not inside a \"device-memory\"",
        ),
        ("interrupts-target = <41 0x0 0x2>;", "interrupts-target = <41 0x0 0x9>;", "interrupts-target is 0x9"),
        ("id = <0x8010>;", "id = <0x8001>;", "id 0x8001 is already used by 'echo'"),
        ("auxiliary-id = <0x8011>;", "auxiliary-id = <0x8001>;", "id 0x8001 is already used by 'echo'"),
        ("auxiliary-id = <0x8011>;", "auxiliary-id = <0x8010>;", "auxiliary-id contradicts the partition's own id"),
        ("<0x1 0x2 0x3 0x4>", "<0xb4b5671e 0x4a904fe1 0xb81ffb13 0xdae1dacb>", "is already used by 'echo'"),
    ] {
        // "id" is also the end of "auxiliary-id".
        let (from, to) = if from.starts_with("id") {
            (alloc::format!("\t{from}"), alloc::format!("\t{to}"))
        } else {
            (from.into(), to.into())
        };
        refused(with(&from, &to), words);
    }
    let ordered = edit(PARTITION_1_1, "ffa-version", "boot-order = <3>; ffa-version");
    refused(second(SPMC, &ordered, PARTITION), "boot-order 0x3 is already used by 'echo'");
    let device = "device-regions { compatible = \"arm,ffa-manifest-device-regions\"; d {
        base-address = <BASE>; pages-count = <1>; attributes = <3>; interrupts = <INT 0x100>; }; }; services {";
    let spmc = edit(SPMC, "<0x0 0x9040000 0x0 0x1000>", "<0x0 0x9040000 0x0 0x2000>");
    let same_page = edit(PARTITION_1_1, "services {", &device.replace("BASE", "0x9040000").replace("INT", "50"));
    refused(second(&spmc, &same_page, PARTITION), "/uart1: base-address 0x9040000-0x9040fff overlaps 'echo'");
    let same_line = edit(PARTITION_1_1, "services {", &device.replace("BASE", "0x9041000").replace("INT", "40"));
    refused(second(&spmc, &same_line, PARTITION), "/uart1: interrupts 0x28 is already used by 'echo'");
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn load_ranges_are_checked() {
    let overlap = edit(SPMC, "load_address = <0x0 0xe400000>;", "load_address = <0x0 0xe380000>;");
    let words = "SPMC manifest of 'percpu': load_address 0xe380000-0xe47ffff overlaps 'echo' 0xe300000-0xe3fffff";
    refused(second(&overlap, PARTITION_1_1, PARTITION_1_1), words);
    let outside = edit(SPMC, "load_address = <0x0 0xe400000>;", "load_address = <0x0 0xf000000>;");
    let words = "mem_size 0xf000000-0xf0fffff is not inside a \"memory\" node";
    refused(second(&outside, PARTITION_1_1, PARTITION_1_1), words);
    let cpus = edit(SPMC, "cpu@0 {", "cpu@4 { device_type = \"cpu\"; reg = <0x0 0x4>; }; cpu@0 {");
    refused(second(&cpus, PARTITION_1_1, PARTITION), "execution-ctx-count is 0x4, expected 1, or at least the number");
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn an_index_without_a_node_is_refused() {
    let core = core_manifest(SPMC).unwrap();
    let m: PartitionManifest = partition(PARTITION_1_1, 0xe30_0000).unwrap();
    refused(platform::check(&core, SPMC_MEMORY, 2, &m, &[]), "index is 0x2");
}
