// SPDX-License-Identifier: MIT OR Apache-2.0
//! The partition manifest, both bindings.

use alloc::format;
use alloc::string::String;

use ffa_abi::{PartitionId, Uuid, Version};

use super::{PARTITION, PARTITION_1_1, dts, edit, partition, refused, warnings};
use crate::manifest::{
    AbortAction, CheckedBlob, ExceptionLevel, Format, Messaging, NsInterruptAction, OtherSecureInterruptAction,
    PartitionManifest, PowerMessages, RegionAttributes, SriPolicy, VmAvailability,
};
use crate::{Pa, Space};

const LOAD: u64 = 0xe40_0000;

#[test]
fn every_field_is_read() {
    let m = partition(PARTITION, LOAD).unwrap();
    assert_eq!((m.format, m.description.as_str(), m.ffa_version), (Format::V1_0, "percpu", Version::V1_2));
    assert_eq!((m.id, m.auxiliary_id), (Some(PartitionId(0x8010)), Some(PartitionId(0x8011))));
    assert_eq!(m.services[0].uuid, Uuid::parse("486178e0-e7f8-11e3-bc5e-0002a5d5c51b").unwrap());
    assert_eq!(m.services[1].uuid.words(), [1, 2, 3, 4]);
    assert_eq!(m.services[0].messaging, Messaging::DIRECT_RECEIVE | Messaging::DIRECT_SEND);
    assert_eq!(m.messaging(), Messaging::all());
    assert_eq!((m.execution_contexts, m.exception_level), (4, ExceptionLevel::SEl1));
    assert_eq!((m.load_address, m.entrypoint_offset), (Some(Pa(LOAD)), 0x2000));
    assert_eq!((m.boot_order, m.gp_register, m.boot_info), (Some(3), Some(0), true));
    assert_eq!(m.ns_interrupts, NsInterruptAction::Queued);
    assert_eq!(m.other_secure_interrupts, OtherSecureInterruptAction::Queued);
    assert_eq!((m.sri_policy, m.notification_support), (SriPolicy::all(), true));
    assert_eq!((m.power_messages, m.vm_availability), (PowerMessages::CPU_OFF, VmAvailability::all()));
    assert_eq!((m.lifecycle_support, m.abort_action), (true, AbortAction::Restart));
    assert_eq!(m.smcs.functions[..], [0xc200_0001]);
    let [rx, tx, shared] = &m.memory_regions[..] else { panic!("three regions") };
    assert_eq!((rx.base, rx.pages, rx.relative), (Pa(LOAD + 0x1_0000), 1, true));
    assert_eq!(tx.attributes, RegionAttributes::READ | RegionAttributes::WRITE);
    assert_eq!((shared.base, shared.size(), shared.relative), (Pa(0x4800_0000), 0x1_0000, false));
    assert_eq!(shared.attributes.space(), Space::NonSecure);
    let mailbox = m.rx_tx.unwrap();
    assert_eq!((mailbox.rx, mailbox.tx), (0, 1));
    let [uart] = &m.device_regions[..] else { panic!("one device") };
    assert_eq!((uart.base, uart.name.as_str(), uart.exclusive), (Pa(0x904_0000), "uart1", true));
    let [a, b] = &m.interrupts[..] else { panic!("two interrupts") };
    assert_eq!((a.intid, a.priority, a.secure, a.level, a.target), (40, 0x80, true, true, None));
    assert_eq!((b.intid, b.region, b.level, b.target), (41, 0, false, Some(2)));
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn regions_that_outlive_a_restart_are_found() {
    let kept = edit(PARTITION, "attributes = <3>; };", "attributes = <3>; preserved-on-restart; };");
    let m = partition(&kept, LOAD).unwrap();
    assert_eq!(m.preserved().map(|r| r.base).collect::<alloc::vec::Vec<_>>(), [Pa(LOAD + 0x1_1000)]);
    for (base, len, found) in [(0x1_0000, 0x1000, false), (0x1_0000, 0x1001, true), (0x1_1fff, 1, true)] {
        assert_eq!(m.preserves(Pa(LOAD + base), len).is_some(), found, "{base:#x}");
    }
    assert!(m.preserves(Pa(LOAD + 0x1_2000), 0x1000).is_none());
    assert!(partition(PARTITION, LOAD).unwrap().preserved().next().is_none());
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn defaults_are_hafniums() {
    let m = partition(PARTITION_1_1, LOAD).unwrap();
    assert_eq!((m.format, m.ffa_version, m.id, m.load_address), (Format::V1_1, Version::V1_1, None, None));
    assert_eq!((m.entrypoint_offset, m.boot_order, m.gp_register), (0, None, None));
    assert_eq!(m.ns_interrupts, NsInterruptAction::Signalled);
    assert_eq!(m.other_secure_interrupts, OtherSecureInterruptAction::Signalled);
    assert_eq!((m.power_messages, m.abort_action), (PowerMessages::empty(), AbortAction::Stop));
    // The same words as <0xb4b5671e 0x4a904fe1 0xb81ffb13 0xdae1dacb> of the 1.0 binding.
    assert_eq!(m.services[0].uuid.words(), [0xb4b5_671e, 0x4a90_4fe1, 0xb81f_fb13, 0xdae1_dacb]);
    assert_eq!(m.services[1].messaging, Messaging::INDIRECT);

    let many = edit(PARTITION, "power-management-messages = <1>;", "");
    let m = partition(&many, LOAD).unwrap();
    assert_eq!(m.power_messages, PowerMessages::CPU_OFF | PowerMessages::CPU_ON);
    let last = partition(&edit(PARTITION, "boot-order = <3>;", "boot-order = <0xffff>;"), LOAD).unwrap();
    assert_eq!(last.boot_order, None);
    let none = edit(PARTITION, "gp-register-num = <0>;", "gp-register-num = <0xffffffff>;");
    assert_eq!(partition(&none, LOAD).unwrap().gp_register, None);
    let one = edit(PARTITION, "messaging-method = <0x3>, <0x607>;", "messaging-method = <7>;");
    let m = partition(&one, LOAD).unwrap();
    assert!(m.services.iter().all(|s| s.messaging.bits() == 7));
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn managed_exit_is_said_in_two_ways() {
    let old = edit(PARTITION_1_1, "ffa-version", "managed-exit; managed-exit-virq; ffa-version");
    let m = partition(&old, LOAD).unwrap();
    assert_eq!((m.ns_interrupts, m.managed_exit_virq), (NsInterruptAction::ManagedExit, true));
    let new = edit(PARTITION_1_1, "ffa-version", "ns-interrupts-action = <1>; ffa-version");
    assert_eq!(partition(&new, LOAD).unwrap().ns_interrupts, NsInterruptAction::ManagedExit);
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn each_rule_refuses_in_words() {
    for (from, to, words) in [
        ("arm,ffa-manifest-1.0", "arm,ffa-manifest-2.0", "compatible is \"arm,ffa-manifest-2.0\", expected"),
        ("compatible = \"arm,ffa-manifest-1.0\";", "", "compatible is missing"),
        ("ffa-version = <0x10002>;", "", "ffa-version is missing"),
        ("ffa-version = <0x10002>;", "ffa-version = <0x10003>;", "ffa-version is 0x10003, expected 0x10000 to 0x10002"),
        ("ffa-version = <0x10002>;", "ffa-version = <0x20000>;", "ffa-version is 0x20000"),
        ("ffa-version = <0x10002>;", "ffa-version = <0x80010001>;", "ffa-version is 0x80010001"),
        ("ffa-version = <0x10002>;", "ffa-version = <0x10001>;", "messaging-method contradicts ffa-version"),
        ("uuid = <0xe0786148 0xe311f8e7 0x02005ebc 0x1bc5d5a5>, <0x1 0x2 0x3 0x4>;", "", "uuid is missing"),
        ("<0x1 0x2 0x3 0x4>", "<0x1 0x2 0x3>", "uuid has 28 bytes, expected 16 bytes for each service"),
        ("<0x1 0x2 0x3 0x4>", "<0 0 0 0>", "uuid is 0x0, expected a UUID that is not nil"),
        (
            "<0x1 0x2 0x3 0x4>",
            "<0xe0786148 0xe311f8e7 0x02005ebc 0x1bc5d5a5>",
            "486178e0-e7f8-11e3-bc5e-0002a5d5c51b is alrea",
        ),
        ("messaging-method = <0x3>, <0x607>;", "", "messaging-method is missing"),
        ("<0x3>, <0x607>", "<0x3>, <0x607>, <1>", "messaging-method has 12 bytes, expected one cell, or one for each"),
        ("<0x3>, <0x607>", "<0x0>", "messaging-method is 0x0, expected bits 0, 1, 2, 9 and 10"),
        ("<0x3>, <0x607>", "<0x272>", "messaging-method is 0x272"),
        ("id = <0x8010>;", "id = <0x10>;", "id is 0x10, expected 0x8001 to 0xfffe"),
        ("id = <0x8010>;", "id = <0x18010>;", "id is 0x18010"),
        ("auxiliary-id = <0x8011>;", "auxiliary-id = <0x8000>;", "auxiliary-id is 0x8000"),
        ("execution-ctx-count = <4>;", "", "execution-ctx-count is missing"),
        ("execution-ctx-count = <4>;", "execution-ctx-count = <0>;", "execution-ctx-count is 0x0"),
        ("execution-ctx-count = <4>;", "execution-ctx-count = <17>;", "execution-ctx-count is 0x11"),
        ("exception-level = <2>;", "", "exception-level is missing"),
        ("exception-level = <2>;", "exception-level = <0>;", "exception-level is 0x0, expected 2 (S-EL1); 0 is a VM"),
        (
            "exception-level = <2>;",
            "exception-level = <1>;",
            "exception-level is 0x1, expected 2 (S-EL1); 0 is a VM's EL1 and 1 is S-EL0, which are not run",
        ),
        ("execution-state = <0>;", "", "execution-state is missing"),
        ("execution-state = <0>;", "execution-state = <1>;", "execution-state is 0x1, expected 0 (AArch64)"),
        ("xlat-granule = <0>;", "xlat-granule = <2>;", "xlat-granule is 0x2, expected 0 (4 KiB)"),
        ("boot-order = <3>;", "boot-order = <0x10000>;", "boot-order is 0x10000, expected a number of 16 bits"),
        ("gp-register-num = <0>;", "gp-register-num = <4>;", "gp-register-num is 0x4, expected 0 to 3"),
        ("\tns-interrupts-action = <0>;", "\tns-interrupts-action = <3>;", "ns-interrupts-action is 0x3"),
        ("\tns-interrupts-action = <0>;", "\tns-interrupts-action = <2>;", "other-s-interrupts-action contradicts"),
        ("other-s-interrupts-action = <0>;", "other-s-interrupts-action = <2>;", "other-s-interrupts-action is 0x2"),
        ("sri-interrupts-policy = <3>;", "sri-interrupts-policy = <15>;", "sri-interrupts-policy is 0xf"),
        ("notification-support;", "notification-support = <1>;", "notification-support has 4 bytes, expected none"),
        ("vm-availability-messages = <3>;", "vm-availability-messages = <4>;", "vm-availability-messages is 0x4"),
        ("abort-action = <2>;", "abort-action = <4>;", "abort-action is 0x4, expected 0 (stop)"),
        ("lifecycle-support;", "", "abort-action contradicts the absence of lifecycle-support"),
        ("load-address = <0x0 0xe400000>;", "load-address = \"here\";", "load-address has 5 bytes, expected a number"),
        ("\"arm,ffa-manifest-boot-info\"", "\"boot\"", "/boot-info: compatible is \"boot\""),
        ("\"arm,ffa-manifest-rx_tx-buffer\"", "\"x\"", "/rx_tx-info: compatible is \"x\""),
        ("rx-buffer = <&rx>;", "", "rx-buffer is missing"),
        ("tx-buffer = <&tx>;", "", "tx-buffer is missing"),
        ("rx-buffer = <&rx>;", "rx-buffer = <9>;", "/rx_tx-info: rx-buffer is 0x9, expected the phandle"),
        ("tx-buffer = <&tx>;", "tx-buffer = <&rx>;", "tx-buffer contradicts rx-buffer"),
        (
            "description = \"tx\"; pages-count = <1>;",
            "pages-count = <2>;",
            "tx-buffer is 0x2, expected as many pages as rx",
        ),
        ("\"arm,ffa-manifest-memory-regions\"", "\"x\"", "/memory-regions: compatible is \"x\""),
        ("description = \"tx\"; pages-count = <1>;", "", "/memory-regions/tx: pages-count is missing"),
        ("description = \"tx\"; pages-count = <1>;", "pages-count = <0>;", "/memory-regions/tx: pages-count is 0x0"),
        ("attributes = <0xb>;", "", "/memory-regions/shared: attributes is missing"),
        (
            "attributes = <0xb>;",
            "attributes = <7>;",
            "/memory-regions/shared: attributes is 0x7, expected 1 (R), 3 (RW) or 5",
        ),
        ("attributes = <0xb>;", "attributes = <2>;", "attributes is 0x2"),
        ("attributes = <0xb>;", "attributes = <0>;", "attributes is 0x0"),
        ("base-address = <0x0 0x48000000>;", "", "/memory-regions/shared: base-address is missing"),
        ("<0x0 0x48000000>", "<0x0 0x48000010>", "base-address is 0x48000010, expected a multiple of 0x1000"),
        (
            "<0x0 0x48000000>",
            "<0xffffffff 0xfffff000>",
            "/memory-regions/shared: base-address is 0xfffffffffffff000 and",
        ),
        (
            "load-address-relative-offset = <0x11000>;",
            "load-address-relative-offset = <0x11001>;",
            "is 0xe411001, expected",
        ),
        (
            "load-address-relative-offset = <0x11000>;",
            "load-address-relative-offset = <0xffffffff 0xfffff000>;",
            "past the end",
        ),
        (
            "base-address = <0x0 0x48000000>;",
            "base-address = <0>; load-address-relative-offset = <0>;",
            "contradicts load-ad",
        ),
        (
            "attributes = <0xb>;",
            "attributes = <0xb>; preserved-on-restart;",
            "/memory-regions/shared: preserved-on-restart contradicts attributes",
        ),
        (
            "attributes = <0xb>;",
            "attributes = <0xb>; stream-ids = <1>;",
            "stream-ids is not supported; remove it: there is",
        ),
        ("attributes = <0xb>;", "attributes = <0xb>; smmu-id = <1>;", "smmu-id is not supported"),
        ("\"arm,ffa-manifest-device-regions\"", "\"x\"", "/device-regions: compatible is \"x\""),
        ("base-address = <0x0 0x9040000>;", "", "/device-regions/uart1: base-address is missing"),
        ("<0x0 0x9040000>", "<0x0 0x9040100>", "base-address is 0x9040100, expected a multiple"),
        ("exclusive-access;", "stream-ids = <0 1>;", "/device-regions/uart1: stream-ids is not supported"),
        ("exclusive-access;", "exclusive-access = <1>;", "exclusive-access has 4 bytes"),
        (
            "interrupts = <40 0xb80>, <41 0x100>;",
            "interrupts = <40 0xb80>, <41>;",
            "interrupts has 12 bytes, expected pairs",
        ),
        ("<41 0x100>", "<40 0x100>", "interrupts 0x28 is already used by 'this partition'"),
        ("<41 0x100>", "<8 0x100>", "interrupts is 0x8, expected an SGI of 10 to 15"),
        ("<41 0x100>", "<1020 0x100>", "interrupts is 0x3fc, expected an INTID"),
        ("<41 0x100>", "<8192 0x100>", "interrupts is 0x2000, expected an INTID"),
        (
            "interrupts-target = <41 0x0 0x2>;",
            "interrupts-target = <42 0x0 0x2>;",
            "interrupts-target is 0x2a, expected an id",
        ),
        (
            "interrupts-target = <41 0x0 0x2>;",
            "interrupts-target = <41 0x2>;",
            "interrupts-target has 8 bytes, expected triples",
        ),
    ] {
        refused(partition(&edit(PARTITION, from, to), LOAD), words);
    }
    let device = edit(PARTITION, "\t\t\tattributes = <3>;\n\t\t\tint", "\t\t\tattributes = <5>;\n\t\t\tint");
    refused(partition(&device, LOAD), "/device-regions/uart1: attributes is 0x5, expected 1 (R) or 3 (RW)");
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn services_of_the_1_1_binding_are_checked() {
    for (from, to, words) in [
        ("services {", "service {", "a node \"services\""),
        ("\"arm,ffa-manifest-services\"", "\"x\"", "/services: compatible is \"x\""),
        ("messaging-method = <4>;", "", "/services/service1: messaging-method is missing"),
        ("messaging-method = <4>;", "messaging-method = <0>;", "messaging-method is 0x0"),
        ("uuid = \"b4b5671e-4a90-4fe1-b81f-fb13dae1dacc\";", "", "/services/service1: uuid is missing"),
        ("b81f-fb13dae1dacc", "b81ffb13dae1dacc", "uuid is \"b4b5671e-4a90-4fe1-b81ffb13dae1"),
        (
            "b4b5671e-4a90-4fe1-b81f-fb13dae1dacc",
            "00000000-0000-0000-0000-000000000000",
            "uuid is 0x0, expected a UUID",
        ),
        ("fb13dae1dacc", "fb13dae1dacb", "is already used by 'this partition'"),
    ] {
        refused(partition(&edit(PARTITION_1_1, from, to), LOAD), words);
    }
    let none = format!("{} }}; }};", &PARTITION_1_1[..PARTITION_1_1.find("service0").unwrap()]);
    refused(partition(&none, LOAD), "/services: is missing, expected at least one service node");
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn capacities_are_refused_loudly() {
    let nodes = |count: usize, body: &dyn Fn(usize) -> String| (0..count).map(body).collect::<String>();
    let regions = nodes(14, &|i| {
        let base = 0x5000_0000 + i * 0x1000;
        format!("r{i} {{ pages-count = <1>; base-address = <{base}>; attributes = <3>; }};")
    });
    let source = edit(PARTITION, "shared {", &format!("{regions} shared {{"));
    refused(partition(&source, LOAD), "/memory-regions: has more than 16 entries");

    let devices =
        nodes(8, &|i| format!("d{i} {{ pages-count = <1>; base-address = <{}>; attributes = <3>; }};", i << 12));
    let source = edit(PARTITION, "uart1 {", &format!("{devices} uart1 {{"));
    refused(partition(&source, LOAD), "/device-regions: has more than 8 entries");

    let lines = nodes(31, &|i| format!(" {} 0", 100 + i));
    let source = edit(PARTITION, "interrupts = <40 0xb80>", &format!("interrupts = <{lines} 40 0xb80>"));
    refused(partition(&source, LOAD), "interrupts has more than 32 entries");

    let services = nodes(7, &|i| {
        format!("s{i} {{ uuid = \"00000000-0000-0000-0000-00000000010{i}\"; messaging-method = <1>; }};")
    });
    let source = edit(PARTITION_1_1, "service0 {", &format!("{services} service0 {{"));
    refused(partition(&source, LOAD), "uuid has more than 8 entries");
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn what_has_no_effect_is_told() {
    let blob =
        dts::compile(&edit(PARTITION, "power-management-messages = <1>;", "power-management-messages = <0x11>;"));
    let blob = CheckedBlob::check(&blob).unwrap();
    let told = warnings(|warn| {
        drop(PartitionManifest::parse_with(&blob, Pa(0xe50_0000), &mut |w: super::Warning| warn(w)).unwrap())
    });
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("|power-management-messages|has bits beyond"), "{told:?}");
    assert!(told[1].starts_with("|vendor,colour|is not known"), "{told:?}");
    assert!(told[2].starts_with("|load-address|differs"), "{told:?}");
}

#[test]
#[cfg_attr(miri, ignore = "too long")]
fn interrupts_that_cannot_be_had_are_refused() {
    for (intid, why) in [
        (8, "SGI of 10 to 15"),
        (20, "the Secure EL2 timer's"),
        (1020, "an INTID of 10 to 1019"),
        (1056, "extended PPIs and SPIs are not supported"),
        (4096, "extended PPIs and SPIs are not supported"),
        (5119, "extended PPIs and SPIs are not supported"),
        (8192, "an INTID of 10 to 1019"),
    ] {
        let source = edit(PARTITION, "interrupts = <40 0xb80>", &format!("interrupts = <{intid} 0x100>, <40 0xb80>"));
        refused(partition(&source, LOAD), why);
    }
}

#[test]
fn it_fits_on_a_boot_stack() {
    assert!(size_of::<PartitionManifest>() <= 4096, "{}", size_of::<PartitionManifest>());
}
