# SPDX-License-Identifier: MIT OR Apache-2.0
"""The suites that boot the firmware on QEMU."""
import array
import functools
import re

from . import env, image, manifest, qemu
from .suite import Outcome, Stop


@functools.cache
def tests_flash():
    """Build the firmware with the BL33 tests once for all suites; return the flash image."""
    return image.firmware(flash=env.FIRMWARE / "flash.bin")


def boot(name, limit, length=qemu.FULL, only="", **machine):
    """Boot the BL33 tests on a machine and count them."""
    machine["extra"] = qemu.mode(length, only=only)
    result = qemu.run(qemu.Machine(tests_flash(), **machine), limit, name=name, show="quiet")
    return from_result(result)


def boot_with(name, partitions, limit, **machine):
    """Boot the BL33 tests with further partitions beside the usual ones, and count them."""
    flash = image.firmware(names=[*image.FIRST_PARTITIONS, *partitions], flash=env.FIRMWARE / f"{name}.bin")
    return from_result(qemu.run(qemu.Machine(flash, **machine), limit, name=name, show="quiet"))


def restarts():
    """Boot with the partition that dies in every way and is restarted."""
    return boot_with("restarts", ["hostile"], 300, cpus=2, extra=qemu.mode(only="restart"))


# Three network cards, whose general-purpose timers raise levels: SPIs 4 to 6.
CARDS = [word for slot in (1, 2, 3) for word in ("-device", f"rtl8139,addr={slot},romfile=")]


def cards():
    """Boot with devices whose level-triggered interrupts belong to partitions."""
    extra = [*CARDS, *qemu.mode(only="cards")]
    return boot_with("cards", ["hostile"], 120, cpus=2, machine="highmem=off", extra=extra)


def managed():
    """Boot with the partition that is told of Non-secure interrupts and finishes by itself."""
    return boot_with("managed", ["managed"], 120, cpus=2, extra=qemu.mode(only="managed"))


def stress(limit, length=qemu.FULL):
    """Boot with the partitions that die and are restarted, and do everything at once on all CPUs."""
    return boot_with("stress", ["hostile", "hydra"], limit, extra=qemu.mode(length, only="stress"))


# What the SPMC's manifest has beside the rest where messages are supervised.
HUB = """\thub {
\t\tcompatible = "hematite,hub";
\t\tqueue-messages = <8>;
\t\tmessage-bytes = <256>;
\t\tredeliver-ms = <20>;
\t\tbreaker { missing-acks = <6>; cool-down-ms = <100>; };
\t};
"""
SUPERVISED = ["steady", "slow", "stormy"]


def supervised_flash(bl33="tests"):
    """Build the firmware in which messages are supervised, with the partitions made for it; return the flash image."""
    source = manifest.spmc_source(image.find_partitions(names=SUPERVISED), image.CPUS)
    dts = env.write_if_changed(env.FIRMWARE / "supervised.dts", source.replace("\thypervisor {", HUB + "\thypervisor {"))
    return image.firmware(bl33=bl33, names=SUPERVISED, flash=env.FIRMWARE / f"supervised-{bl33}.bin", spmc_manifest=dts)


def hub_flash(coordinator, bl33="tests", names=image.FIRST_PARTITIONS, more="", flavour="default"):
    """Build the firmware with a hub around partitions, the usual ones by default; return the flash image."""
    names = list(names)
    node = f'\thub {{ compatible = "hematite,hub"; coordinator = "{coordinator}"; {more}breaker {{ cool-down-ms = <100>; }}; }};\n'
    source = manifest.spmc_source(image.find_partitions(names=names), image.CPUS, flavour)
    stem = f"hub-{coordinator}-{'linux' if bl33 == 'none' else bl33}"
    dts = env.write_if_changed(env.FIRMWARE / f"{stem}.dts", source.replace("\thypervisor {", node + "\thypervisor {"))
    flash = env.FIRMWARE / f"{stem}.bin"
    return image.firmware(bl33=bl33, names=names, flash=flash, spmc_manifest=dts, flavour=flavour)


def hub():
    """Boot with a hub: the Normal world coordinates, then relay does, and dies. Windows last milliseconds, which are
    counted in instructions: a busy host shortens none."""
    outcome = Outcome(0, 0)
    for coordinator, group in (("normal-world", "hub"), ("vm2", "gone")):
        machine = qemu.Machine(hub_flash(coordinator), cpus=1, icount=True, extra=qemu.mode(only=group))
        outcome.add(from_result(qemu.run(machine, 90, name=f"hub-{coordinator}", show="quiet")))
    return outcome


def supervised():
    """Boot with supervised messages. One instruction is one tick of the clock: what a storm costs others is counted."""
    machine = qemu.Machine(supervised_flash(), cpus=1, icount=True, extra=qemu.mode(only="post::"))
    outcome = from_result(qemu.run(machine, 300, name="supervised", show="quiet"))
    machine = qemu.Machine(supervised_flash(), cpus=2, extra=qemu.mode(only="postsmp"))
    outcome.add(from_result(qemu.run(machine, 120, name="supervised-smp", show="quiet")))
    return outcome


# The time that the receipts' calls were signed for (`receipts_cases::AT`).
RECEIPTS_CLOCK = ("-rtc", "base=2026-11-20T21:20:18")


def receipts():
    """Boot the receipts partition beside another one, with the image that drives it."""
    flash = image.firmware(bl33="receipts", names=["echo", "receipts"], flash=env.FIRMWARE / "receipts.bin")
    machine = qemu.Machine(flash, cpus=2, extra=RECEIPTS_CLOCK)
    return from_result(qemu.run(machine, 180, name="receipts", show="quiet"))


def receipts_restarted():
    """Boot the receipts partition that dies when it is asked to, and is restarted."""
    flash = image.firmware(bl33="receipts", names=["mortal"], flash=env.FIRMWARE / "mortal.bin")
    machine = qemu.Machine(flash, cpus=1, extra=[*RECEIPTS_CLOCK, *qemu.mode(only="survive:")])
    return from_result(qemu.run(machine, 120, name="mortal", show="quiet"))


def four_worlds():
    """Boot with granule protection: an access in the wrong physical address space faults."""
    flash = image.firmware(flash=env.FIRMWARE / "flash-rme.bin", flavour="rme")
    machine = qemu.Machine(flash, cpu="max,x-rme=on", extra=qemu.mode(qemu.FULL))
    return from_result(qemu.run(machine, 300, name="rme", show="quiet"))


def reported(name, result, report):
    """Turn a run into one test: everything passed, and the boot report says this."""
    good = result.good and any(re.search(report, line) for line in result.secure_lines)
    text = "" if good else f"{qemu.explanation(result)}\nFAILED: {name}: expected the report /{report}/\n"
    return Outcome(int(good), int(not good), text)


# What is wrong with a package, the bytes to write at which offset, and what the boot report must say of it.
BAD_PACKAGES = {
    "magic": (0, b"XXXX", r'"percpu" is left out: package: magic is 0x58585858'),
    "offset": (8, b"\xff\xff\xff\x7f", r'"percpu" is left out: package: pm_offset is 0x7fffffff'),
    "tree": (0x1000, bytes(4), r'"percpu" is left out: partition manifest: '),
    "size": (0x1004, b"\xff\xff\xff\xff", r'"percpu" is left out: partition manifest: total size 0xffffffff'),
}


def bad_packages():
    """Boot with a malformed package: it costs its partition, is named in the boot report, and the others answer."""
    tests_flash()
    bl32, bl33 = ((env.FIRMWARE / name).read_bytes() for name in ("hematite.bin", "bl33-tests.bin"))
    partitions = image.find_partitions()
    outcome = Outcome(0, 0)
    for name, (offset, data, report) in BAD_PACKAGES.items():
        for partition in partitions:
            good = (env.FIRMWARE / f"{partition.name}.pkg").read_bytes()
            bad = good[:offset] + data + good[offset + len(data) :]
            partition.package_bytes = bad if partition.name == "percpu" else good
        flash = image.pack(bl32, bl33, partitions, env.FIRMWARE / f"bad-{name}.bin")
        machine = qemu.Machine(flash, extra=qemu.mode(only="direct::"))
        result = qemu.run(machine, 60, name=f"bad-{name}", show="quiet")
        outcome.add(reported(name, result, report))
    return outcome


# What is changed in an SPMC manifest that the SPMC then refuses, and what it must say of it.
BAD_SPMC_MANIFESTS = {
    "memory": ('device_type = "memory"', 'device_type = "none"', r'.*device_type = "memory"'),
    "boot-cpu": ("reg = <0 0x0>", "reg = <0 0x900>", r"/cpus: reg is 0x0, expected among the CPUs: it is the MPIDR"),
    "twin-cpu": ("reg = <0 0x1>", "reg = <0 0x0>", r"/cpus/cpu@1: reg is 0x0, expected an MPIDR that no other CPU has"),
    "no-cpu": ("\tcpus {", "\tcores {", r'.*expected a node "cpus"'),
}


def with_spmc_manifest(name, change, only, **machine):
    """Boot the tests with an SPMC manifest that is changed: text to find, text to put there."""
    tests_flash()
    bl32, bl33 = ((env.FIRMWARE / name).read_bytes() for name in ("hematite.bin", "bl33-tests.bin"))
    partitions = image.find_partitions()
    source = manifest.spmc_source(partitions, image.CPUS)
    if change[0] not in source:
        raise Stop(f"the SPMC manifest has no {change[0]!r}")
    dts = env.write_if_changed(env.FIRMWARE / f"spmc-{name}.dts", source.replace(*change))
    for partition in partitions:
        partition.package_bytes = (env.FIRMWARE / f"{partition.name}.pkg").read_bytes()
    flash = image.pack(bl32, bl33, partitions, env.FIRMWARE / f"spmc-{name}.bin", spmc_manifest=dts)
    machine = qemu.Machine(flash, extra=qemu.mode(only=only), **machine)
    return qemu.run(machine, 60, name=f"spmc-{name}", show="quiet")


def bad_spmc_manifest():
    """Boot with SPMC manifests that are refused: the SPMC says what is wrong, once; the Normal world finds no FF-A and
    goes on. Then with one that does not list CPU 3: that one alone finds none."""
    outcome = Outcome(0, 0)
    rows = [
        (name, (find, put), "absent::", rf"^fatal: SPMC manifest: (?!SPMC){reason}")
        for name, (find, put, reason) in BAD_SPMC_MANIFESTS.items()
    ]
    rows.append(("unlisted", ("reg = <0 0x3>", "reg = <0 0x300>"), "unlisted", "^CPU 0x3 is refused: no node of /cpus"))
    for name, change, only, report in rows:
        outcome.add(reported(name, with_spmc_manifest(name, change, only), report))
    return outcome


# Where the image's Rust code begins; the landing pad of a jump table (BTI j), any landing pad, and NOP.
RUST_CODE = 0x1000
BTI_J, ANY_BTI, NOP = 0xD503249F, range(0xD503241F, 0xD50324E0, 0x40), 0xD503201F


def landing_pads():
    """Boot an SPMC whose jump tables have lost their landing pads: the CPU refuses the first jump. Assembly has no pads."""
    bl33 = (image.firmware(names=[], flash=env.FIRMWARE / "pads.bin").parent / "bl33-tests.bin").read_bytes()
    code = array.array("I", (env.FIRMWARE / "hematite-core.bin").read_bytes())
    pads = [at for at, word in enumerate(code) if word == BTI_J]
    for at in pads:
        code[at] = NOP
    flash = image.pack(code.tobytes(), bl33, [], env.FIRMWARE / "pads.bin")
    pattern = r"^FATAL: branch target exception taken at S-EL2 on CPU 0"
    result = qemu.run(qemu.Machine(flash, cpus=1), 60, name="pads", show="quiet", protocol="expect", expect=[pattern])
    refused = bool(pads) and result.passed == 1
    text = "" if refused else f"{qemu.explanation(result)}\n{len(pads)} landing pads were taken out\n"
    bare = not any(word in ANY_BTI for word in code[: RUST_CODE // code.itemsize])
    text += "" if bare else "FAILED: the assembly has a landing pad\n"
    return Outcome(refused + bare, 2 - refused - bare, text)


def deaths():
    """Boot once for each pair of deaths, and for each death by memory: a stopped partition stays so."""
    outcome = Outcome(0, 0)
    for name in ("death_1", "death_2", "death_3", "death_4", "death_5", "mfault_1", "mfault_2", "mfault_3", "mfault_4"):
        outcome.add(boot(name, 60, only=name))
    return outcome


def older_cpu():
    """Boot on a Neoverse N2: without the newest traps, and with branch history to overwrite at each entry."""
    tests_flash()
    outcome = Outcome(0, 0)
    for name in ("direct::", "regs::", "smp::", "timer::"):
        machine = qemu.Machine(tests_flash(), cpu="neoverse-n2", extra=qemu.mode(only=name))
        result = qemu.run(machine, 90, name=f"n2-{name.strip(':')}", show="quiet")
        one = from_result(result)
        said = any(line.startswith("branch history: overwritten by 32 branches") for line in result.secure_lines)
        outcome.passed += one.passed
        outcome.failed += one.failed + (not said)
        outcome.text += one.text + ("" if said else "FAILED: the boot report does not name the branch history\n")
    return outcome


def from_result(result):
    """Turn a run on QEMU into an outcome."""
    return Outcome(result.passed, result.failed, "" if result.good else qemu.explanation(result))
