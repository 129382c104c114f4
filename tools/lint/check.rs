// SPDX-License-Identifier: MIT OR Apache-2.0
//! Holds the inputs against each other and against what TF-A does with them.

use spmc::Pa;
use spmc::manifest::platform::{self, Admitted};
use spmc::manifest::{CoreManifest, MemoryKind, PartitionManifest};

use crate::findings::Findings;
use crate::input::{Inputs, Partition};

/// TF-A hands the SPMC its manifest in one page, and refuses none that is larger.
const PAGE: usize = 4096;
/// TF-A's `MAX_SP_IDS`.
const MAX_PACKAGES: usize = 8;

/// Runs every check; returns what would boot, for people to read.
pub(crate) fn all(inputs: &Inputs, findings: &mut Findings) -> Vec<String> {
    for (from, list) in &inputs.lists {
        check_list(inputs, from, list, findings);
    }
    match &inputs.spmc[..] {
        [] => alone(&inputs.partitions, findings),
        [(from, size, core)] => {
            check_spmc(inputs, from, *size, core, findings);
            return together(inputs, from, core, findings);
        }
        [_, (from, ..), ..] => findings.error(from, "a second SPMC manifest; give one, and what belongs to it"),
    }
    Vec::new()
}

fn check_spmc(inputs: &Inputs, from: &str, size: usize, core: &CoreManifest, findings: &mut Findings) {
    if size > PAGE {
        findings.error(
            from,
            format_args!(
                "{size} bytes: TF-A has one page of {PAGE} for it, and what crosses is lost; remove nodes, or strip \
                 the padding (dtc without -p and -S)"
            ),
        );
    }
    let a = core.attribute;
    match (a.load_address, a.binary_size) {
        (Some(load), Some(size)) => {
            let inside = |at: u64| at >= load.0 && at - load.0 < u64::from(size);
            if let Some(entry) = a.entrypoint.filter(|e| !inside(e.0)) {
                findings.error(
                    from,
                    format_args!(
                        "/attribute: entrypoint {entry} is outside load_address {load} and binary_size {size:#x}: the \
                         SPMD refuses to enter the SPMC; correct one of the three"
                    ),
                );
            }
            if !core.covers(MemoryKind::Secure, load.0, size.into()) {
                findings.warning(
                    from,
                    format_args!("/attribute: the SPMC at {load}, {size:#x} bytes, is outside the \"memory\" nodes"),
                );
            }
            for (image, bytes) in inputs.bl32.iter().filter(|(_, bytes)| *bytes as u64 > u64::from(size)) {
                findings.error(
                    image,
                    format_args!("{bytes:#x} bytes, more than binary_size {size:#x} of {from}; raise binary_size"),
                );
            }
        }
        (None, _) | (_, None) if core.cpus.len() != 1 => findings.error(
            from,
            "/attribute: load_address or binary_size is missing: the SPMD refuses FFA_SECONDARY_EP_REGISTER, and no \
             CPU but the first gets an SPMC; add both (binary_size in one cell)",
        ),
        (None, _) | (_, None) => (),
    }
    if core.ranges(MemoryKind::NonSecure).next().is_none() {
        findings.warning(from, "there is no \"ns-memory\" node: the Normal world can share no memory");
    }
}

fn check_list(inputs: &Inputs, from: &str, list: &[crate::input::Listed], findings: &mut Findings) {
    if list.len() > MAX_PACKAGES {
        findings.error(from, format_args!("{} packages: BL2 loads at most {MAX_PACKAGES}; remove some", list.len()));
    }
    for item in list {
        if let Some(uuid) = item.uuid.filter(|u| !inputs.packed.is_empty() && !inputs.packed.contains(u)) {
            let name = ffa_abi::Uuid(uuid);
            findings.error(
                from,
                format_args!("/secure-partitions/{}: no package {name} is in the FIP: BL2 stops; pack it", item.name),
            );
        }
    }
}

/// Finds where a package is loaded: TB_FW_CONFIG decides, then the layout or its own manifest.
fn load_of(inputs: &Inputs, partition: &Partition) -> Option<u64> {
    let mut listed = inputs.lists.iter().flat_map(|(_, l)| l);
    let entry = listed.find(|l| l.uuid.is_some() && l.uuid == partition.uuid);
    entry.and_then(|l| l.load).or(partition.load)
}

/// Checks partitions with the SPMC manifest that starts them, as the firmware does.
fn together(inputs: &Inputs, from: &str, core: &CoreManifest, findings: &mut Findings) -> Vec<String> {
    let a = core.attribute;
    let spmc = (a.load_address.unwrap_or(Pa(0)), a.binary_size.map_or(0, u64::from));
    // Without a size the SPMC still has the page that it is entered at.
    let spmc = (spmc.0, if a.load_address.is_some() { spmc.1.max(1) } else { 1 });
    for partition in &inputs.partitions {
        match load_of(inputs, partition) {
            None => findings.error(
                &partition.from,
                "where it is loaded is not said: add load-address, or give the layout or TB_FW_CONFIG as well",
            ),
            Some(load) if !core.partitions.iter().any(|e| e.load_address.0 == load) => findings.error(
                &partition.from,
                format_args!(
                    "loaded at {load:#x}, but no vm node of {from} has that load_address: the SPMC does not start it; \
                     add a vm node or correct the address"
                ),
            ),
            Some(_) => (),
        }
    }
    for (list, item) in inputs.lists.iter().flat_map(|(f, l)| l.iter().map(move |i| (f, i))) {
        if let Some(load) = item.load.filter(|l| !core.partitions.iter().any(|e| e.load_address.0 == *l)) {
            let name = &item.name;
            findings.error(
                list,
                format_args!(
                    "/secure-partitions/{name}: load-address {load:#x} is no vm node's load_address in {from}; make \
                     them agree"
                ),
            );
        }
    }
    let mut admitted: Vec<Admitted<'_>> = Vec::new();
    let mut summary = Vec::new();
    for (index, entry) in core.partitions.iter().enumerate() {
        let found = inputs.partitions.iter().find(|p| load_of(inputs, p) == Some(entry.load_address.0));
        let Some(partition) = found else {
            if !inputs.partitions.is_empty() {
                findings.error(
                    from,
                    format_args!(
                        "/hypervisor/vm{} '{}': no package among the inputs is loaded at {}; correct load_address, or \
                         give its manifest or package",
                        entry.number, entry.name, entry.load_address
                    ),
                );
            }
            continue;
        };
        if let Some(bytes) = partition.package.filter(|&b| b as u64 > entry.mem_size) {
            findings.error(
                &partition.from,
                format_args!(
                    "the package has {bytes:#x} bytes, '{}' has mem_size {:#x} in {from}; raise mem_size",
                    entry.name, entry.mem_size
                ),
            );
        }
        match platform::check(core, spmc, index, &partition.manifest, &admitted) {
            Ok(id) => {
                summary.push(describe(
                    id,
                    entry.name.as_str(),
                    entry.load_address,
                    entry.mem_size,
                    &partition.manifest,
                ));
                admitted.push((index, &partition.manifest));
            }
            Err(refusal) => findings.error(&partition.from, refusal),
        }
    }
    summary
}

fn describe(id: ffa_abi::PartitionId, name: &str, load: Pa, size: u64, manifest: &PartitionManifest) -> String {
    let services: Vec<String> = manifest.services.iter().map(|s| s.uuid.to_string()).collect();
    let contexts = manifest.execution_contexts;
    let end = load.0.saturating_add(size.saturating_sub(1));
    format!("{id} '{name}' {load}-{end:#x}, {contexts} execution context(s), {}", services.join(", "))
}

/// Checks partitions without an SPMC manifest: only what no two of them may have in common.
fn alone(partitions: &[Partition], findings: &mut Findings) {
    for (i, p) in partitions.iter().enumerate() {
        for other in partitions.iter().take(i) {
            let (a, b) = (&p.manifest, &other.manifest);
            let mut clash = |property: &str, value: String| {
                findings.error(
                    &p.from,
                    format_args!("{property} {value} is also that of {}; give each its own", other.from),
                );
            };
            if let Some(id) = a.id.filter(|&id| b.id == Some(id)) {
                clash("id", id.to_string());
            }
            if let Some(order) = a.boot_order.filter(|&o| b.boot_order == Some(o)) {
                clash("boot-order", order.to_string());
            }
            if let Some(load) = p.load.filter(|&l| other.load == Some(l)) {
                clash("load-address", format!("{load:#x}"));
            }
            for s in a.services.iter().filter(|s| b.services.iter().any(|t| t.uuid == s.uuid)) {
                clash("uuid", s.uuid.to_string());
            }
            for s in a.interrupts.iter().filter(|s| b.interrupts.iter().any(|t| t.intid == s.intid)) {
                clash("interrupt", s.intid.to_string());
            }
        }
    }
}
