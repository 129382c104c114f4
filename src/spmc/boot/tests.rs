// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boot on the simulated machine: from manifests and packages in its memory to partitions, and what is left out or refused
//! in which words.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use ffa_abi::{Func, PartitionId, Regs};

use crate::manifest::tests::{PARTITION, PARTITION_1_1, SPMC, dts, edit};
use crate::sim::SimMachine;
use crate::stage2::Tag;
use crate::{BuiltIn, Cpu, Fatal, Ipa, Next, Pa, Port, Space, Spmc};

const FIRST: u64 = 0xe30_0000;
const SECOND: u64 = 0xe40_0000;
/// Where an image lies in a package of these tests, and its length.
const IMAGE: usize = 0x2000;
const IMAGE_LEN: usize = 0x1800;

/// Makes a package of version 1 (the manifest behind the header) or 2 (in a page of its own).
fn package(version: u32, manifest: &str) -> Vec<u8> {
    let blob = dts::compile(manifest);
    let at = if version == 1 { 24 } else { 0x1000 };
    assert!(at + blob.len() <= IMAGE);
    let mut out = vec![0; IMAGE + IMAGE_LEN];
    out[at..at + blob.len()].copy_from_slice(&blob);
    out[IMAGE..].fill(0x1d);
    let words = [0x474b_5053, version, at as u32, blob.len() as u32, IMAGE as u32, IMAGE_LEN as u32];
    for (slot, word) in out.chunks_exact_mut(4).zip(words) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    out
}

struct Booted {
    machine: &'static SimMachine,
    spmc: Result<&'static Spmc<SimMachine>, Fatal>,
    log: Vec<String>,
}

impl Booted {
    /// Demands a line of the boot report that has these words.
    #[track_caller]
    fn said(&self, words: &str) {
        assert!(self.log.iter().any(|line| line.contains(words)), "{words:?} is not in {:#?}", self.log);
    }

    fn ids(&self) -> Vec<PartitionId> {
        self.spmc.expect("it boots").partitions().map(|p| p.id()).collect()
    }
}

fn boot_with(pages: usize, manifest: &str, packages: [Vec<u8>; 2], built_in: &'static [BuiltIn]) -> Booted {
    let machine = SimMachine::leaked(pages);
    for (at, bytes) in [FIRST, SECOND].into_iter().zip(packages) {
        machine.write(Space::Secure, Pa(at), &bytes).expect("it is RAM");
    }
    let spmc = Spmc::boot(machine, &dts::compile(manifest), built_in);
    Booted { machine, spmc, log: machine.take_log() }
}

fn boot(manifest: &str, first: Vec<u8>, second: Vec<u8>) -> Booted {
    boot_with(512, manifest, [first, second], &[])
}

#[test]
fn a_platform_boots_from_its_manifest_and_packages() {
    let b = boot(SPMC, package(2, PARTITION_1_1), package(1, PARTITION));
    assert_eq!(b.ids(), [PartitionId(0x8001), PartitionId(0x8010)]);
    b.said("SPMC 0x8000 speaks FF-A 1.2; 4 CPUs, 2 partitions in the manifest");
    b.said("ns-memory: 0x40000000 to 0xbfffffff");
    b.said("0x8001 \"echo\": 0xe300000 to 0xe3fffff, entry 0xe302000, 1 execution context(s)");
    b.said("0x8010 \"percpu\": 0xe400000 to 0xe4fffff, entry 0xe402000, 4 execution context(s)");
    // The words of the manifest, each with its lowest byte first.
    b.said("  service 1e67b5b4-e14f-904a-13fb-1fb8cbdae1da");
    b.said("kept for a restart at 0xe");
    let spmc = b.spmc.unwrap();
    let second = spmc.partitions().last().unwrap();
    // Its own list, then that of the SPMC's manifest.
    assert_eq!(second.manifest.smcs.functions[..], [0xc200_0001, 0x8400_0050, 0xc300_0001]);
    // The manifest is what it finds by x0: the boot information is there, behind the manifest.
    let entry = second.entry(0);
    assert!((SECOND..SECOND + IMAGE as u64).contains(&entry.x[0]), "{entry:?}");
    let mut signature = [0; 4];
    b.machine.read(Space::Secure, Pa(entry.x[0]), &mut signature).unwrap();
    assert_eq!(u32::from_le_bytes(signature), 0x0ffa);
    // Its package is kept whole.
    let kept = second.pristine.expect("it restarts");
    let (mut copy, mut there) = (vec![0; kept.len as usize], vec![0; kept.len as usize]);
    b.machine.read(Space::Secure, kept.copy, &mut copy).unwrap();
    b.machine.read(Space::Secure, Pa(SECOND), &mut there).unwrap();
    assert_eq!(copy, there);
    assert_eq!(copy[IMAGE..IMAGE + IMAGE_LEN], [0x1d; IMAGE_LEN]);
}

#[test]
fn a_partition_has_its_memory_with_its_manifests_permissions_and_no_more() {
    let b = boot(SPMC, package(2, PARTITION_1_1), package(1, PARTITION));
    let spmc = b.spmc.unwrap();
    let second = spmc.partitions().last().unwrap();
    let may = |space, ipa| b.machine.translate(&second.roots, space, Ipa(ipa)).map(|t| (t.read, t.write, t.execute));
    assert_eq!(may(Space::Secure, SECOND), Some((true, true, true)));
    assert_eq!(may(Space::Secure, SECOND + 0x1_0000), Some((true, false, false)));
    assert_eq!(may(Space::Secure, SECOND + 0x1_1000), Some((true, true, false)));
    assert_eq!(may(Space::Secure, SECOND + 0xf_f000), Some((true, true, true)));
    assert_eq!(may(Space::Secure, 0x904_0000), Some((true, true, false)));
    assert_eq!(may(Space::NonSecure, 0x4800_f000), Some((true, true, false)));
    for foreign in [FIRST, SECOND + 0x10_0000, 0xe10_0000, 0x904_1000] {
        assert_eq!(may(Space::Secure, foreign), None, "{foreign:#x}");
    }
    assert_eq!(may(Space::NonSecure, 0x4801_0000), None);
    let entry = second.stage2.lock().query(b.machine, Space::Secure, Ipa(SECOND));
    assert_eq!(entry.tag(), Tag::Owned);
}

#[test]
fn partitions_start_in_boot_order_on_the_first_cpu() {
    // percpu has boot-order 3, echo none.
    let b = boot(SPMC, package(2, PARTITION_1_1), package(1, PARTITION));
    let spmc = b.spmc.unwrap();
    let (mut cpu, mut regs) = (Cpu::new(0), Regs::ZERO);
    let mut started = Vec::new();
    let mut next = spmc.start(&mut cpu, &mut regs);
    while let Next::Run(context) = next {
        started.push((context.id, context.vcpu));
        regs.set8([Func::MsgWait.id32() as u64, 0, 0, 0, 0, 0, 0, 0]);
        next = spmc.on_partition_exit(&mut cpu, context, crate::Exit::Smc, &mut regs);
    }
    assert_eq!(started, [(PartitionId(0x8010), 0), (PartitionId(0x8001), 0)]);
    assert_eq!(regs.fid(), Func::MsgWait.id32());
}

#[test]
fn a_bad_package_costs_its_partition_only() {
    let good = || package(1, PARTITION);
    let bad = |change: fn(&mut Vec<u8>)| {
        let mut bytes = package(2, PARTITION_1_1);
        change(&mut bytes);
        bytes
    };
    for (first, words) in [
        (bad(|p| p[0] = b'X'), "vm1 \"echo\" is left out: package: magic is"),
        (bad(|p| p[0x1000] = 0), "vm1 \"echo\" is left out: partition manifest: "),
        (package(2, &edit(PARTITION_1_1, "<2>", "<1>")), "exception-level is 0x1, expected 2 (S-EL1)"),
        (package(2, &edit(PARTITION_1_1, "ffa-version", "id = <0x8000>; ffa-version")), "id is 0x8000"),
    ] {
        let b = boot(SPMC, first, good());
        assert_eq!(b.ids(), [PartitionId(0x8010)], "{words}");
        b.said(words);
    }
    // Two of one service: the later one is left out.
    let twin = edit(PARTITION_1_1, "dacc", "dacd");
    let b = boot(SPMC, package(2, PARTITION_1_1), package(2, &twin));
    assert_eq!(b.ids(), [PartitionId(0x8001)]);
    b.said("is already used by 'echo'");
    // More functions than a list holds, in both manifests together.
    let many: String = (0..15).map(|n| alloc::format!(" {:#x}", 0xc200_0100u32 + n)).collect();
    let b = boot(SPMC, package(2, PARTITION_1_1), package(1, &edit(PARTITION, "0xc2000001", &many)));
    b.said("smc_whitelist of both manifests: more than 16 functions");
}

#[test]
fn table_memory_that_runs_out_costs_a_partition_or_the_boot() {
    let packages = || [package(2, PARTITION_1_1), package(1, PARTITION)];
    let mut outcomes = [0; 3];
    for pages in 0..40 {
        let b = boot_with(pages, SPMC, packages(), &[]);
        match b.spmc {
            Err(Fatal) => b.said("fatal: no "),
            Ok(_) if b.ids().len() < 2 => b.said("is left out: stage 2, "),
            Ok(_) => {}
        }
        outcomes[b.spmc.map_or(0, |s| s.partitions().count().min(2))] += 1;
        assert!(b.spmc.is_err() || b.machine.pages_free() <= pages);
    }
    assert!(outcomes[0] > 0 && outcomes[2] > 0, "{outcomes:?}");
}

#[test]
fn an_spmc_manifest_of_no_use_is_fatal_and_says_why_once() {
    for (manifest, words) in [
        (edit(SPMC, "reg = <0x0 0x0>;", "reg = <0x0 0x100>;"), "/cpus: reg is 0x0, expected among the CPUs"),
        (edit(SPMC, "\tcpus {", "\tcores {"), "expected a node \"cpus\""),
        (edit(SPMC, "maj_ver = <1>;", ""), "/attribute: maj_ver is missing"),
    ] {
        let b = boot(&manifest, Vec::new(), Vec::new());
        assert!(b.spmc.is_err());
        let [line] = &b.log[..] else { panic!("{:?}", b.log) };
        assert!(line.starts_with("fatal: SPMC manifest: ") && line.contains(words), "{line}");
        assert_eq!(line.matches("SPMC manifest").count(), 1, "{line}");
    }
    let machine = SimMachine::leaked(64);
    assert!(Spmc::boot(machine, &[0; 64], &[]).is_err());
    let log = machine.take_log();
    assert!(log[0].starts_with("fatal: SPMC manifest: ") && log.len() == 1, "{log:?}");
}

#[test]
fn built_in_packages_get_the_highest_free_memory_and_the_numbers_that_follow() {
    let bytes = package(2, &edit(&edit(PARTITION_1_1, "dacb", "dbcb"), "dacc", "dbcc"));
    let built_in = |memory| -> &'static [BuiltIn] {
        let package = alloc::boxed::Box::leak(bytes.clone().into_boxed_slice());
        alloc::vec![BuiltIn { name: "inner", package, memory }].leak()
    };
    let packages = || [package(2, PARTITION_1_1), package(1, PARTITION)];
    let b = boot_with(512, SPMC, packages(), built_in(0x1_0000));
    assert_eq!(b.ids(), [PartitionId(0x8001), PartitionId(0x8010), PartitionId(0x8003)]);
    b.said("0x8003 \"inner\": 0xeef0000 to 0xeefffff, entry 0xeef2000");
    for memory in [0x1000, 1 << 40] {
        let b = boot_with(512, SPMC, packages(), built_in(memory));
        assert_eq!(b.ids().len(), 2);
        b.said("built-in inner: no 0x");
    }
}

#[test]
fn a_restart_without_room_for_a_copy_and_a_world_without_memory_are_told() {
    // The Secure memory ends with the second partition's.
    let tight = edit(SPMC, "0x0 0xe100000 0x0 0x800000>, <0x0 0xe900000 0x0 0x600000>", "0x0 0xe100000 0x0 0x400000>");
    let b = boot(&tight, package(2, PARTITION_1_1), package(1, PARTITION));
    b.said("percpu: no Secure memory is free for a copy of its package: it will not be restarted");
    b.said("table memory: no Secure memory is free to add to it");
    let alone = edit(SPMC, "device_type = \"ns-memory\"", "device_type = \"other\"");
    let b = boot(&alone, package(2, PARTITION_1_1), Vec::new());
    assert_eq!(b.ids(), [PartitionId(0x8001)]);
    b.said("no ns-memory node: the Normal world cannot map buffers or send memory");
}
