# SPDX-License-Identifier: MIT OR Apache-2.0
"""The suites that `make test` and `make test-all` run: a table at the end of this file.

A suite is a function that returns an `Outcome`. One that cannot run is a failure; one in which no test ran is one too.
"""
import dataclasses
import functools
import json
import os
import re
import signal
import subprocess
import time
import typing

from . import env, image, linux, manifest, qemu

CARGO_RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;", re.M)
PYTHON_RESULT = re.compile(r"^Ran (\d+) tests? in ", re.M)
TOTALS = re.compile(r"^(\d+) passed, (\d+) failed$", re.M)
# Seconds per fuzz target in test-all; `FUZZ_TIME` overrides it.
FUZZ_SECONDS = 120


@dataclasses.dataclass
class Outcome:
    """What a suite found: counts, and the text that explains a failure."""

    passed: int
    failed: int
    text: str = ""


@dataclasses.dataclass
class Suite:
    """A row of the table. What takes long is not run always, but by `make test-all`; what keeps one core busy and
    builds in a folder of its own runs beside the others."""

    name: str
    run: typing.Callable[[], Outcome]
    always: bool = True
    beside: bool = False


class Stop(Exception):
    """Ends a suite as failed, with the reason."""


def command(words, limit, cwd=env.ROOT, **variables):
    """Run a command and its children under a time limit; return its status and its output."""
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    process = subprocess.Popen(
        [str(word) for word in words],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return -1, f"{output}\nended after its limit of {limit} s\n"


def check(words, limit=300, **variables):
    """Run a command whose exit status is the verdict: one test."""
    status, output = command(words, limit, **variables)
    return Outcome(int(status == 0), int(status != 0), output)


def cargo_tests(words, limit=600, ignored_is_failure=True, **variables):
    """Run a cargo command that runs tests, and count them. A test marked as ignored does not count as passed."""
    status, output = command(words, limit, **variables)
    passed, failed, ignored = (sum(map(int, column)) for column in zip((0, 0, 0), *CARGO_RESULT.findall(output)))
    if ignored and ignored_is_failure:
        failed += ignored
        output += f"\n{ignored} tests are marked as ignored\n"
    if status != 0 and failed == 0:
        failed = 1
    return Outcome(passed, failed, output)


@functools.cache
def metadata():
    """Return what cargo knows of the workspace."""
    words = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    return json.loads(subprocess.check_output(words, cwd=env.ROOT, text=True))


def firmware_packages():
    """Return the packages that only the bare-metal targets can build: members that are not default members."""
    known = metadata()
    host = set(known["workspace_default_members"])
    return [package["name"] for package in known["packages"] if package["id"] not in host]


# ---- the source


def format_check():
    """Check the formatting of every crate."""
    outcome = check(["cargo", "fmt", "--all", "--check"])
    fuzz = env.ROOT / "fuzz" / "Cargo.toml"
    if outcome.failed == 0 and fuzz.exists():
        outcome = check(["cargo", "fmt", "--manifest-path", fuzz, "--check"])
    return outcome


def clippy_host():
    """Lint the crates that the host can build, tests included."""
    return check(["cargo", "clippy", "--quiet", "--locked", "--all-targets", "--", "-D", "warnings"], 600)


def clippy_firmware():
    """Lint the crates that only the bare machine can run."""
    words = [word for package in firmware_packages() for word in ("--package", package)]
    if not words:
        raise Stop("no firmware crate was found")
    target = ["--target", image.SPMC_TARGET]
    return check(["cargo", "clippy", "--quiet", "--locked", "--release", *target, *words, "--", "-D", "warnings"], 600)


def lint_manifests():
    """Check each partition's manifest by itself, then what is packed by default together with the SPMC's manifest."""
    manifests = sorted(env.ROOT.glob("sp/*/manifest.dts"))
    if not manifests:
        raise Stop("no partition manifest was found")
    partitions = image.find_partitions()
    spmc = env.write_if_changed(env.FIRMWARE / "lint-spmc.dts", manifest.spmc_source(partitions, image.CPUS))
    packages = env.write_if_changed(env.FIRMWARE / "lint-tb_fw_config.dts", manifest.tb_fw_config_source(partitions))
    packed = [spmc, packages, *(partition.folder / "manifest.dts" for partition in partitions)]
    outcome = Outcome(0, 0)
    for files in (*([one] for one in manifests), packed):
        one = check(["cargo", "lint-manifests", *files])
        outcome.passed += one.passed
        outcome.failed += one.failed
        outcome.text += one.text if one.failed else ""
    return outcome


def licences():
    """Check the dependencies' licences, sources and advisories that the registry knows of."""
    return check(["cargo", "deny", "--log-level", "error", "check", "bans", "licenses", "sources"], 600)


# ---- the host


def host_tests():
    """Run every test that runs on the host."""
    return cargo_tests(["cargo", "test", "--quiet", "--locked", "--no-fail-fast"], 900)


def tool_tests():
    """Run the tests of the scripts in tools/."""
    status, output = command(["python3", "-m", "unittest", "discover", "-s", "tools/tests", "-t", "tools"], 120)
    match = PYTHON_RESULT.search(output)
    ran = int(match[1]) if match else 0
    bad = sum(int(count) for count in re.findall(r"(?:failures|errors|skipped)=(\d+)", output))
    bad = max(bad, int(status != 0))
    return Outcome(max(ran - bad, 0), bad, output)


# What Miri runs of `spmc`: what puts data structures on the dependencies. The crate is safe code throughout, and its
# tests of whole systems take Miri minutes each.
RUN_BY_MIRI = (
    "features::tests",
    "mailbox::tests",
    "manifest::tests::bytes::random",
    "memory::ranges",
    "notification::tests",
    "partition::state",
    "stage2::tests",
)


def miri():
    """Run the host tests of the wire formats, and those of the core's data structures, under Miri."""
    words = ["cargo", "+nightly", "miri", "test", "--quiet", "--locked", "--lib"]
    # The simulated machine of a test lives as long as the test's process.
    flags = {"MIRIFLAGS": "-Zmiri-disable-isolation -Zmiri-ignore-leaks", "PROPTEST_CASES": 4}
    wire = cargo_tests([*words, "-p", "ffa-abi"], 420, ignored_is_failure=False, **flags)
    core = cargo_tests([*words, "-p", "spmc", "--", *RUN_BY_MIRI], 420, ignored_is_failure=False, **flags)
    none = int(wire.passed == 0) + int(core.passed == 0)
    return Outcome(wire.passed + core.passed, wire.failed + core.failed + none, wire.text + core.text)


def loom():
    """Run the models of races, on the shipped state machine, over every interleaving."""
    words = ["cargo", "test", "--quiet", "--locked", "--release", "-p", "spmc", "--lib", "loom"]
    return cargo_tests(
        words,
        RUSTFLAGS="--cfg loom",
        CARGO_TARGET_DIR=env.TARGET / "loom",
        CARGO_PROFILE_RELEASE_LTO="off",
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16,
    )


def memory_model():
    """Play a million random sequences of memory calls against the model."""
    words = ["cargo", "test", "--quiet", "--locked", "-p", "spmc", "--lib", "memory::tests::model::"]
    return cargo_tests(words, 3000, HEMATITE_MODEL_SEQUENCES=1_000_000)


def fuzz():
    """Run each fuzz target for a while; a crash is a failure. One test per target."""
    seconds = int(os.environ.get("FUZZ_TIME", FUZZ_SECONDS))
    targets = sorted(path.stem for path in (env.ROOT / "fuzz" / "fuzz_targets").glob("*.rs"))
    if not targets:
        raise Stop("no fuzz target was found")
    outcome = Outcome(0, 0)
    for target in targets:
        # What it finds goes to the first folder; the seeds are only read.
        found, seeds = env.TARGET / "fuzz-corpus" / target, env.ROOT / "fuzz" / "corpus" / target
        found.mkdir(parents=True, exist_ok=True)
        # No sanitizer: the crates forbid unsafe code, and without it there are six times as many executions.
        words = ["cargo", "+nightly", "fuzz", "run", "--sanitizer", "none", target, found]
        words += [seeds] if seeds.is_dir() else []
        one = check([*words, "--", f"-max_total_time={seconds}", "-timeout=10"], seconds + 600)
        print(f"== fuzzed {target}: {', '.join(re.findall(r'^Done (.*)$', one.text, re.M))}", flush=True)
        outcome.passed += one.passed
        outcome.failed += one.failed
        outcome.text += one.text if one.failed else ""
    return outcome


# ---- the firmware


@functools.cache
def tests_flash():
    """Build the firmware with the BL33 tests once for all suites; return the flash image."""
    return image.firmware(flash=env.FIRMWARE / "flash.bin")


def boot(name, limit, length=qemu.FULL, only="", **machine):
    """Boot the BL33 tests on a machine and count them."""
    machine["extra"] = qemu.mode(length, only=only)
    result = qemu.run(qemu.Machine(tests_flash(), **machine), limit, name=name, show="quiet")
    return from_result(result)


def restarts():
    """Boot with the partition that dies in every way and is restarted."""
    names = ["echo", "relay", "percpu", "hostile"]
    flash = image.firmware(names=names, flash=env.FIRMWARE / "restarts.bin")
    machine = qemu.Machine(flash, cpus=2, extra=qemu.mode(only="restart"))
    return from_result(qemu.run(machine, 120, name="restarts", show="quiet"))


def managed():
    """Boot with the partition that is told of Non-secure interrupts and finishes by itself."""
    names = ["echo", "relay", "percpu", "managed"]
    flash = image.firmware(names=names, flash=env.FIRMWARE / "managed.bin")
    machine = qemu.Machine(flash, cpus=2, extra=qemu.mode(only="managed"))
    return from_result(qemu.run(machine, 120, name="managed", show="quiet"))


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
    """Boot with a hub: the Normal world coordinates, then relay does, and dies."""
    outcome = Outcome(0, 0)
    for coordinator, group in (("normal-world", "hub"), ("vm2", "gone")):
        machine = qemu.Machine(hub_flash(coordinator), cpus=2, extra=qemu.mode(only=group))
        one = from_result(qemu.run(machine, 90, name=f"hub-{coordinator}", show="quiet"))
        outcome.passed, outcome.failed = outcome.passed + one.passed, outcome.failed + one.failed
        outcome.text += one.text
    return outcome


def supervised():
    """Boot with supervised messages. One instruction is one tick of the clock: what a storm costs others is counted."""
    machine = qemu.Machine(supervised_flash(), cpus=1, icount=True, extra=qemu.mode(only="post::"))
    one = from_result(qemu.run(machine, 120, name="supervised", show="quiet"))
    machine = qemu.Machine(supervised_flash(), cpus=2, extra=qemu.mode(only="postsmp"))
    two = from_result(qemu.run(machine, 120, name="supervised-smp", show="quiet"))
    return Outcome(one.passed + two.passed, one.failed + two.failed, one.text + two.text)


def stress(limit, length=qemu.FULL):
    """Boot with the partitions that die and are restarted, and do everything at once on all CPUs."""
    names = ["echo", "relay", "percpu", "hostile", "hydra"]
    flash = image.firmware(names=names, flash=env.FIRMWARE / "stress.bin")
    machine = qemu.Machine(flash, extra=qemu.mode(length, only="stress"))
    return from_result(qemu.run(machine, limit, name="stress", show="quiet"))


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
    return from_result(qemu.run(machine, 180, name="rme", show="quiet"))


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
        good = result.good and any(re.search(report, line) for line in result.secure_lines)
        outcome.passed, outcome.failed = outcome.passed + good, outcome.failed + (not good)
        outcome.text += "" if good else f"{qemu.explanation(result)}\nFAILED: {name}: expected the report /{report}/\n"
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
        result = with_spmc_manifest(name, change, only)
        said = any(re.search(report, line) for line in result.secure_lines)
        good = result.good and said
        outcome.passed, outcome.failed = outcome.passed + good, outcome.failed + (not good)
        outcome.text += "" if good else f"{qemu.explanation(result)}\nFAILED: {name}: expected the report /{report}/\n"
    return outcome


def deaths():
    """Boot once for each pair of deaths, and for each death by memory: a stopped partition stays so."""
    outcome = Outcome(0, 0)
    for name in ("death_1", "death_2", "death_3", "death_4", "death_5", "mfault_1", "mfault_2", "mfault_3", "mfault_4"):
        one = boot(name, 60, only=name)
        outcome.passed += one.passed
        outcome.failed += one.failed
        outcome.text += one.text
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


def build_firmware():
    """Build and pack the firmware: one test."""
    return Outcome(int(tests_flash().exists()), 0)


def reproducible():
    """Check that the same sources give the same images in another folder."""
    tests_flash()
    return check(["tools/reproducible"], 600)


def panic_sites():
    """Check that the loop that answers calls reaches no place that can panic but those that have been argued."""
    tests_flash()
    return check(["tools/panic-sites", "--check"])


# ---- other Normal worlds


def totals(words, limit):
    """Run a command that ends with `N passed, N failed`."""
    status, output = command(words, limit)
    found = TOTALS.findall(output)
    passed, failed = map(int, found[-1]) if found else (0, 0)
    if status != 0 and failed == 0:
        failed = 1
    return Outcome(passed, failed, output)


def coverage():
    """Measure the line coverage of the host tests: one test for each crate."""
    return totals(["tools/coverage"], 1200)


def checkpatch():
    """Run Linux's own style checker on the kernel modules; one test per file."""
    outcome = Outcome(0, 0)
    # Modules outside the kernel serve more than one version; the macro that defines a table names it twice.
    ignored = "LINUX_VERSION_CODE,CONSTANT_COMPARISON,MACRO_ARG_REUSE"
    script = linux.linux_source() / "scripts/checkpatch.pl"
    for source in sorted(path for path in (linux.SOURCES / "modules").rglob("*") if path.is_file()):
        one = check([script, "--strict", "--no-tree", "--terse", "--no-summary", "--ignore", ignored, "-f", source], 60)
        outcome.passed, outcome.failed = outcome.passed + one.passed, outcome.failed + one.failed
        outcome.text += one.text if one.failed else ""
    return outcome


SUITES = [
    Suite("format", format_check),
    Suite("clippy, host crates", clippy_host),
    Suite("clippy, firmware crates", clippy_firmware),
    Suite("tests of the tools", tool_tests),
    Suite("host tests", host_tests),
    Suite("partition manifests", lint_manifests),
    Suite("firmware builds", build_firmware),
    Suite("firmware, 4 CPUs", lambda: boot("cpus4", 180)),
    Suite("firmware, 1 CPU, counted time", lambda: boot("cpus1-icount", 180, cpus=1, icount=True)),
    Suite("firmware, an older CPU", older_cpu),
    Suite("firmware, a v1.0 Normal world", lambda: boot("v1_0", 60, only="v1_0")),
    Suite("firmware, a v1.1 Normal world", lambda: boot("v1_1", 60, only="v1_1")),
    Suite("firmware, partitions that die", deaths),
    Suite("firmware, a partition that is restarted", restarts),
    Suite("firmware, a partition with a managed exit", managed),
    Suite("firmware, everything at once, 10 s", lambda: stress(120)),
    Suite("firmware, malformed packages", bad_packages),
    Suite("firmware, malformed SPMC manifest", bad_spmc_manifest),
    Suite("firmware, a hub and its windows", hub),
    Suite("firmware, supervised messages", supervised),
    Suite("firmware, receipts", receipts),
    Suite("firmware, receipts that outlive a restart", receipts_restarted),
    Suite("firmware, places that can panic", panic_sites),
    Suite("same image from another folder", reproducible),
    Suite("loom", loom, beside=True),
    Suite("Miri", miri, beside=True),
    Suite("Linux modules, checkpatch", checkpatch),
    Suite("Linux 7 under pKVM", lambda: totals(["tools/test-linux"], 900)),
    Suite("Linux 7 under pKVM, with a hub", lambda: totals(["tools/test-linux", "--hub"], 300)),
    Suite("U-Boot", lambda: totals(["tools/test-uboot"], 900)),
    # What takes long: make test-all.
    Suite("Linux, both kernels, with and without pKVM", lambda: totals(["tools/test-linux", "--all"], 1500), always=False),
    Suite("Linux, 10 boots in a row", lambda: totals(["tools/test-linux", "--repeat", "10"], 3600), always=False),
    Suite("firmware, four worlds (RME)", four_worlds, always=False),
    Suite("firmware, 1 CPU", lambda: boot("cpus1", 180, cpus=1), always=False),
    Suite("firmware, 8 CPUs", lambda: boot("cpus8", 600, cpus=8), always=False),
    Suite("firmware, 4 CPUs, long", lambda: boot("long4", 3600, qemu.LONG), always=False),
    Suite("line coverage of the host tests", coverage, always=False),
    Suite("firmware, everything at once, 10 minutes", lambda: stress(1500, qemu.LONG), always=False),
    Suite("licences of dependencies", licences, always=False),
    Suite("memory model, a million sequences", memory_model, always=False, beside=True),
    Suite("fuzzing", fuzz, always=False, beside=True),
]


def run_suite(suite):
    """Run one suite; whatever it throws is its failure."""
    began = time.monotonic()
    try:
        outcome = suite.run()
    except Stop as stop:
        outcome = Outcome(0, 1, str(stop))
    except SystemExit as stop:
        outcome = Outcome(0, 1, f"{stop.code}")
    except Exception as error:  # a broken suite is a failed suite, and the others still run
        outcome = Outcome(0, 1, f"{type(error).__name__}: {error}")
    if outcome.passed == 0 and outcome.failed == 0:
        outcome.failed, outcome.text = 1, f"{outcome.text}\nno test ran"
    return outcome, time.monotonic() - began
