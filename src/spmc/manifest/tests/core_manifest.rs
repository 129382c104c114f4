// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SPMC manifest.

use alloc::string::String;

use ffa_abi::{PartitionId, Version};

use super::{SPMC, core_manifest, edit, refused, warnings};
use crate::Pa;
use crate::manifest::{BreakerPolicy, CheckedBlob, CoreManifest, HubPolicy, MemoryKind, Party, RoutingDefault};

/// The manifest of a platform that boots Hafnium, reduced: no routing policy, one-cell numbers here and there.
const HAFNIUM: &str = r#"/dts-v1/;
/ {
	compatible = "arm,ffa-core-manifest-1.0";
	#address-cells = <2>;
	#size-cells = <1>;
	attribute { spmc_id = <0x8000>; maj_ver = <0x1>; min_ver = <0x2>; exec_state = <0x0>;
		load_address = <0x0 0x6000000>; entrypoint = <0x0 0x6000000>; binary_size = <0x80000>; };
	hypervisor {
		compatible = "hafnium,hafnium";
		vm1 { is_ffa_partition; debug_name = "cactus-primary"; load_address = <0x7000000>; vcpu_count = <8>;
			mem_size = <1048576>; };
	};
	cpus {
		#address-cells = <0x2>;
		#size-cells = <0x0>;
		cpu@0 { device_type = "cpu"; reg = <0x0 0x0>; };
		cpu@1 { device_type = "cpu"; reg = <0x0 0x100>; };
		cpu-map { };
	};
	memory@0 { device_type = "memory"; reg = <0x0 0x6000000 0x2000000>; };
};
"#;

#[test]
fn every_field_is_read() {
    let m = core_manifest(SPMC).unwrap();
    assert_eq!(m.attribute.spmc_id, PartitionId(0x8000));
    assert_eq!(m.attribute.version, Version::V1_1);
    assert_eq!(m.attribute.load_address, Some(Pa(0xe10_0000)));
    assert_eq!(m.attribute.entrypoint, Some(Pa(0xe10_0000)));
    assert_eq!(m.attribute.binary_size, Some(0x20_0000));
    let [a, b] = &m.partitions[..] else { panic!("two partitions") };
    assert_eq!((a.number, a.name.as_str(), a.load_address, a.mem_size), (1, "echo", Pa(0xe30_0000), 0x10_0000));
    assert_eq!((b.number, b.name.as_str(), b.load_address, b.vcpu_count), (2, "percpu", Pa(0xe40_0000), 4));
    assert_eq!(b.smcs.functions[..], [0x8400_0050, 0xc300_0001]);
    assert!(b.smcs.permissive && !a.smcs.permissive);
    assert_eq!(m.cpus[..], [0, 1, 2, 3]);
    assert_eq!(m.memory.len(), 5);
    assert_eq!(m.ranges(MemoryKind::NonSecure).next().unwrap().size, 0x8000_0000);
    assert_eq!((m.routing.default, m.routing.coordinator), (RoutingDefault::Hub, Party::Partition(0)));
    let [peer] = &m.routing.peers[..] else { panic!("one peer") };
    assert_eq!((peer.from, peer.to), (Party::NormalWorld, Party::Partition(1)));
    assert!(peer.messages && !peer.memory && peer.one_way);
}

#[test]
fn a_hafnium_platforms_manifest_is_read_unchanged() {
    let m = core_manifest(HAFNIUM).unwrap();
    assert_eq!(m.partitions[0].mem_size, 0x10_0000);
    assert_eq!(m.cpus[..], [0, 0x100]);
    assert_eq!(m.memory[0].size, 0x200_0000);
    assert_eq!(m.routing.default, RoutingDefault::Open);
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn no_partitions_at_all_is_a_platform_too() {
    let start = SPMC.find("\t\tvm1 {").unwrap();
    let end = SPMC.find("\t};\n\tcpus").unwrap();
    let mut source = String::from(&SPMC[..start]);
    source.push_str(&SPMC[end..]);
    let source = edit(&source, "coordinator = \"vm1\";", "");
    let source = edit(&source, "peer1 { between = \"normal-world\", \"vm2\"; allow = \"messages\"; one-way; };", "");
    assert!(core_manifest(&source).unwrap().partitions.is_empty());
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn ranges_that_touch_cover_as_one() {
    let m = core_manifest(SPMC).unwrap();
    assert!(m.covers(MemoryKind::Secure, 0xe10_0000, 0xe0_0000));
    assert!(m.covers(MemoryKind::Secure, 0xe8f_f000, 0x2000));
    assert!(!m.covers(MemoryKind::Secure, 0xe10_0000, 0xe0_1000));
    assert!(!m.covers(MemoryKind::Secure, 0xe0f_f000, 0x2000));
    assert!(!m.covers(MemoryKind::Secure, u64::MAX - 0xfff, 0x2000));
    assert!(!m.covers(MemoryKind::SecureDevice, 0x900_0000, 0x1000));
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn each_rule_refuses_in_words() {
    for (from, to, words) in [
        ("arm,ffa-core-manifest-1.0", "arm,ffa-manifest-1.0", "compatible is \"arm,ffa-manifest-1.0\", expected"),
        ("compatible = \"arm,ffa-core-manifest-1.0\";", "", "compatible is missing"),
        ("#size-cells = <2>;", "#size-cells = <3>;", "#size-cells is 0x3, expected 0, 1 or 2"),
        ("attribute {", "attributes {", "a node \"attribute\""),
        ("hypervisor {", "hyp {", "a node \"hypervisor\""),
        ("spmc_id = <0x8000>;", "spmc_id = <0x1>;", "/attribute: spmc_id is 0x1, expected 0x8000 to 0xfffe"),
        ("spmc_id = <0x8000>;", "spmc_id = <0xffff>;", "spmc_id is 0xffff"),
        ("spmc_id = <0x8000>;", "", "spmc_id is missing"),
        ("maj_ver = <1>;", "maj_ver = <2>;", "maj_ver is 0x2, expected 1"),
        ("maj_ver = <1>;", "", "maj_ver is missing"),
        ("min_ver = <1>;", "min_ver = <3>;", "min_ver is 0x3, expected 0 to 2; the SPMD turns the Secure world off"),
        ("min_ver = <1>;", "", "min_ver is missing"),
        ("exec_state = <0>;", "exec_state = <1>;", "exec_state is 0x1, expected 0 (AArch64)"),
        (
            "load_address = <0x0 0xe100000>;",
            "load_address = <0x0 0xe100800>;",
            "load_address is 0xe100800, expected a mul",
        ),
        ("binary_size = <0x200000>;", "binary_size = <0x0 0x200000>;", "binary_size has 8 bytes, expected one cell"),
        ("\"hafnium,hafnium\"", "\"hafnium\"", "/hypervisor: compatible is \"hafnium\""),
        ("compatible = \"hafnium,hafnium\";", "", "/hypervisor: compatible is missing"),
        ("vm1 {", "vm0 {", "the node's name is \"vm0\", expected vm1 to vm16"),
        ("vm1 {", "vm17 {", "the node's name is \"vm17\""),
        ("vm2 {", "vm1 {", "0x1 is already used by 'echo'"),
        ("vm2 {", "vm3 {", "the number of a vm node is 0x3, expected vm1, vm2, ... without a gap"),
        ("debug_name = \"echo\";", "", "/hypervisor/vm1: debug_name is missing"),
        ("debug_name = \"echo\";", "debug_name = <1>;", "debug_name has 4 bytes, expected one string"),
        ("load_address = <0xe300000>;", "", "/hypervisor/vm1: load_address is missing"),
        (
            "load_address = <0xe300000>;",
            "load_address = <0xe300800>;",
            "load_address is 0xe300800, expected a multiple",
        ),
        ("load_address = <0xe300000>;", "load_address = <1 2 3>;", "load_address has 12 bytes, expected a number"),
        ("vcpu_count = <1>;", "", "vcpu_count is missing"),
        ("vcpu_count = <1>;", "vcpu_count = <0>;", "vcpu_count is 0x0"),
        ("vcpu_count = <1>;", "vcpu_count = <17>;", "vcpu_count is 0x11"),
        ("vcpu_count = <1>;", "vcpu_count = <0x10000>;", "vcpu_count is 0x10000, expected 1, or the number of CPUs"),
        ("vcpu_count = <1>;", "vcpu_count = <1>; hyp_loaded;", "hyp_loaded is not supported"),
        (
            "cpu@1 { device_type = \"cpu\"; reg = <0x0 0x1>; };",
            "cpu@1 { device_type = \"cpu\"; };",
            "/cpus/cpu@1: reg is missing",
        ),
        ("reg = <0x0 0x1>;", "reg = <0x0 0x2>;", "reg is 0x2, expected an MPIDR that no other CPU has"),
        ("\tcpus {", "\tcores {", "SPMC manifest: is missing, expected a node \"cpus\"; add cpus"),
        ("reg = <0x0 0x1>;", "reg = <0x0 0x80000001>;", "reg is 0x80000001, expected affinity fields"),
        ("reg = <0x0 0x1>;", "reg = <0x1>;", "/cpus/cpu@1: reg has 4 bytes, expected whole entries"),
        ("reg = <0x0 0x40000000 0x0 0x80000000>;", "", "/memory@1: reg is missing"),
        ("<0x0 0x40000000 0x0 0x80000000>", "<0x0 0x40000000 0x0>", "/memory@1: reg has 12 bytes"),
        ("<0x0 0x40000000 0x0 0x80000000>", "<0x0 0x40000000 0x0 0x0>", "reg is 0x40000000 and 0x0 bytes"),
        ("<0x0 0x40000000 0x0 0x80000000>", "<0xffffffff 0xfffff000 0x0 0x2000>", "past the end of memory"),
        ("<0x0 0x40000000 0x0 0x80000000>", "<0x0 0x40000800 0x0 0x1000>", "reg is 0x40000800, expected a multiple"),
        (
            "<0x0 0x40000000 0x0 0x80000000>",
            "<0x0 0xe000000 0x0 0x200000>",
            "0xe000000-0xe1fffff overlaps 'memory' 0xe100000",
        ),
        ("device_type = \"memory\";", "device_type = \"ram\";", "a node with device_type = \"memory\""),
        ("compatible = \"hematite,routing-policy\";", "", "/routing-policy: compatible is missing"),
        ("default = \"hub\";", "", "default is missing"),
        ("default = \"hub\";", "default = \"closed\";", "default is \"closed\", expected \"open\" or \"hub\""),
        ("default = \"hub\";", "default = \"hub\"; defualt = \"open\";", "a name is \"defualt\""),
        ("coordinator = \"vm1\";", "coordinator = \"vm3\";", "coordinator is \"vm3\", expected"),
        ("\"normal-world\", \"vm2\"", "\"vm2\", \"vm2\"", "between is \"vm2\", expected another party"),
        ("\"normal-world\", \"vm2\"", "\"vm1\"", "between has 4 bytes, expected two strings"),
        ("allow = \"messages\";", "allow = \"massages\";", "allow is \"massages\""),
        ("allow = \"messages\";", "", "allow is missing"),
        ("one-way;", "one-way = <1>;", "one-way has 4 bytes, expected none"),
    ] {
        refused(core_manifest(&edit(SPMC, from, to)), words);
    }
    // Twice in the source, so edited by position.
    let without = SPMC.replacen("is_ffa_partition;", "", 1);
    refused(core_manifest(&without), "/hypervisor/vm1: is_ffa_partition is missing");
    refused(core_manifest(&SPMC.replacen("mem_size = <0x100000>;", "", 1)), "/hypervisor/vm1: mem_size is missing");
    let zero = SPMC.replacen("mem_size = <0x100000>;", "mem_size = <0>;", 1);
    refused(core_manifest(&zero), "mem_size is 0x0");
    let wraps = SPMC.replacen("mem_size = <0x100000>;", "mem_size = <0xffffffff 0xffffffff>;", 1);
    refused(core_manifest(&wraps), "past the end of memory");
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn capacities_are_refused_loudly() {
    let mut smcs = String::from("smc_whitelist = <");
    (0..17).for_each(|_| smcs.push_str(" 0x84000050"));
    smcs.push_str(">;");
    let source = edit(SPMC, "smc_whitelist = <0x84000050 0xc3000001>;", &smcs);
    refused(core_manifest(&source), "smc_whitelist has more than 16 entries");

    let mut cpus = String::new();
    (4..9).for_each(|n| cpus.push_str(&alloc::format!("cpu@{n} {{ device_type = \"cpu\"; reg = <0x0 {n}>; }};")));
    cpus.push_str("cpu@3 {");
    refused(core_manifest(&edit(SPMC, "cpu@3 {", &cpus)), "/cpus: has more than 8 entries");

    let mut ranges = String::from("reg = <0x0 0x40000000 0x0 0x1000>");
    (1..33).for_each(|n| ranges.push_str(&alloc::format!(", <0x0 {} 0x0 0x1000>", 0x4000_0000 + n * 0x2000)));
    ranges.push(';');
    let source = edit(SPMC, "reg = <0x0 0x40000000 0x0 0x80000000>;", &ranges);
    refused(core_manifest(&source), "reg has more than 32 entries");

    let mut peers = String::new();
    (2..34).for_each(|n| {
        peers.push_str(&alloc::format!("peer{n} {{ between = \"vm1\", \"vm2\"; allow = \"memory\"; }};"));
    });
    peers.push_str("peer1 {");
    refused(core_manifest(&edit(SPMC, "peer1 {", &peers)), "/routing-policy: has more than 32 entries");
}

#[test]
fn a_boot_is_quiet_where_the_manifest_asks_for_it() {
    assert!(!core_manifest(SPMC).unwrap().quiet);
    let source = edit(SPMC, "hypervisor {", "hypervisor { quiet-boot;");
    assert!(core_manifest(&source).unwrap().quiet);
    let source = edit(SPMC, "hypervisor {", "hypervisor { quiet-boot = <1>;");
    refused(core_manifest(&source), "quiet-boot");
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn what_has_no_effect_is_told() {
    let source = edit(SPMC, "vcpu_count = <1>;", "vcpu_count = <1>; vcpus = <1>;");
    let source = edit(&source, "entrypoint = <0x0 0xe100000>;", "entrypoint = <0xe100000>;");
    let blob = super::dts::compile(&source);
    let blob = CheckedBlob::check(&blob).unwrap();
    let told = warnings(|warn| drop(CoreManifest::parse_with(&blob, &mut |w: super::Warning| warn(w)).unwrap()));
    assert_eq!(told.len(), 2);
    assert!(told[0].starts_with("attribute|entrypoint|has one cell"), "{told:?}");
    assert!(told[1].starts_with("hypervisor/vm1|vcpus|is not known"), "{told:?}");
}

/// The manifest with a hub in place of its routing policy.
fn with_hub(node: &str) -> String {
    let start = SPMC.find("\trouting-policy {").unwrap();
    alloc::format!("{}\t{node}\n}};\n", &SPMC[..start])
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn a_hub_is_off_unless_asked_for_and_read_in_full() {
    assert_eq!(core_manifest(SPMC).unwrap().hub, None);
    let m = core_manifest(&with_hub("hub { compatible = \"hematite,hub\"; };")).unwrap();
    assert_eq!(m.hub, Some(HubPolicy::default()));
    assert_eq!((m.routing.default, m.routing.coordinator), (RoutingDefault::Hub, Party::NormalWorld));
    let all = "hub { compatible = \"hematite,hub\"; coordinator = \"vm2\"; id = <0x9000>; windows = <3>; \
               queue-messages = <4>; message-bytes = <128>; high-watermark = <70>; low-watermark = <20>; \
               attempts = <2>; redeliver-ms = <7>; duplicates = <9>; dead-letters = <10>; \
               breaker { faults = <1>; missing-acks = <2>; expiries = <3>; denials = <0>; duplicates = <5>; \
               cool-down-ms = <6>; }; };";
    let m = core_manifest(&with_hub(all)).unwrap();
    let breaker = BreakerPolicy { faults: 1, missing_acks: 2, expiries: 3, denials: 0, duplicates: 5, cool_down_ms: 6 };
    let hub = HubPolicy {
        coordinator: Party::Partition(1),
        id: PartitionId(0x9000),
        windows: 3,
        queue_messages: 4,
        message_bytes: 128,
        high_watermark: 70,
        low_watermark: 20,
        attempts: 2,
        redeliver_ms: 7,
        duplicates: 9,
        dead_letters: 10,
        breaker,
    };
    assert_eq!(m.hub, Some(hub));
    assert_eq!((m.routing.default, m.routing.coordinator), (RoutingDefault::Hub, Party::Partition(1)));
    // The last node of a name holds, alone.
    let twice =
        "hub { compatible = \"hematite,hub\"; breaker { faults = <1>; expiries = <3>; }; breaker { faults = <9>; }; };";
    let breaker = BreakerPolicy { faults: 9, ..BreakerPolicy::default() };
    assert_eq!(core_manifest(&with_hub(twice)).unwrap().hub.map(|hub| hub.breaker), Some(breaker));
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn a_bad_hub_is_refused_with_its_reason() {
    for (properties, words) in [
        ("coordinator = \"vm9\";", "coordinator is \"vm9\", expected"),
        ("id = <0x7000>;", "id is 0x7000, expected an identifier of the Secure world"),
        ("id = <0xffff>;", "id is 0xffff"),
        ("windows = <0>;", "windows is 0x0, expected 1 to 16"),
        ("windows = <17>;", "windows is 0x11, expected 1 to 16"),
        ("queue-messages = <1>;", "queue-messages is 0x1, expected 2 to 64"),
        ("message-bytes = <63>;", "message-bytes is 0x3f, expected 64 to 4032"),
        ("message-bytes = <4033>;", "message-bytes is 0xfc1"),
        ("high-watermark = <101>;", "high-watermark is 0x65"),
        ("high-watermark = <20>; low-watermark = <20>;", "low-watermark is 0x14, expected less than"),
        ("attempts = <0>;", "attempts is 0x0, expected 1 to 16"),
        ("redeliver-ms = <0>;", "redeliver-ms is 0x0"),
        ("duplicates = <65>;", "duplicates is 0x41"),
        ("dead-letters = <257>;", "dead-letters is 0x101"),
        ("windos = <4>;", "a name is \"windos\", expected a property or node of this binding"),
        ("braker { };", "a name is \"braker\""),
        ("breaker { faults = <65536>; };", "faults is 0x10000, expected 0 to 65535"),
        ("breaker { cool-down-ms = <0>; };", "cool-down-ms is 0x0"),
        ("breaker { fault = <1>; };", "a name is \"fault\""),
    ] {
        let node = alloc::format!("hub {{ compatible = \"hematite,hub\"; {properties} }};");
        refused(core_manifest(&with_hub(&node)), words);
    }
    refused(core_manifest(&with_hub("hub { };")), "/hub: compatible is missing");
    refused(core_manifest(&with_hub("hub { compatible = \"hub\"; };")), "compatible is \"hub\"");
    let both = edit(SPMC, "\trouting-policy {", "\thub { compatible = \"hematite,hub\"; };\n\trouting-policy {");
    refused(core_manifest(&both), "/routing-policy: a name is \"routing-policy\", expected one policy");
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn smcs_that_change_who_runs_are_refused() {
    for (function, fine) in [
        (0x8000_8000, true),
        (0xc200_0001, true),
        (0x8300_ffff, true),
        (0xc400_0053, true),
        // PSCI, SDEI, FF-A, trusted OS and applications, hypervisor services, yielding calls, reserved bits.
        (0x8400_0003, false),
        (0xc400_0020, false),
        (0x8400_0060, false),
        (0xc400_008e, false),
        (0xb200_0000, false),
        (0xb000_0000, false),
        (0x8500_0000, false),
        (0x0200_0001, false),
        (0x8210_0001, false),
    ] {
        let source = edit(SPMC, "0x84000050 0xc3000001", &alloc::format!("{function:#x}"));
        match core_manifest(&source) {
            Ok(m) => assert!(fine && m.partitions[1].smcs.functions[..] == [function], "{function:#x}"),
            Err(e) => assert!(!fine && alloc::format!("{e}").contains("smc_whitelist is 0x"), "{function:#x}: {e}"),
        }
    }
}
