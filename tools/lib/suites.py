# SPDX-License-Identifier: MIT OR Apache-2.0
"""The suites that `make test` and `make test-all` run: a table at the end of this file."""
import functools
import json
import os
import re
import subprocess

from . import boots, env, image, linux, manifest, qemu, shell
from .suite import Outcome, Stop, Suite, cargo_tests, check, command, totals

PYTHON_RESULT = re.compile(r"^Ran (\d+) tests? in ", re.M)
# Seconds per fuzz target in test-all; `FUZZ_TIME` overrides it.
FUZZ_SECONDS = 120


@functools.cache
def metadata():
    """Return what cargo knows of the workspace."""
    words = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    return json.loads(subprocess.check_output(words, cwd=env.ROOT, text=True))


def firmware_packages():
    """Return those that only the bare machine can run (members that are not default ones), by the target each is for."""
    known = metadata()
    host = set(known["workspace_default_members"])
    packages = {}
    for package in known["packages"]:
        if package["id"] not in host:
            # As Cargo.toml of a partition says it.
            target = ((package["metadata"] or {}).get("hematite") or {}).get("target", image.SPMC_TARGET)
            packages.setdefault(target, []).append(package["name"])
    return packages


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
    """Lint the crates that only the bare machine can run, each for its target."""
    packages = firmware_packages()
    if not packages:
        raise Stop("no firmware crate was found")
    outcome = Outcome(0, 0)
    for target, names in packages.items():
        words = ["--target", target, *(word for name in names for word in ("--package", name))]
        outcome.add(check(["cargo", "clippy", "--quiet", "--locked", "--release", *words, "--", "-D", "warnings"], 600))
    return outcome


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
        outcome.add(check(["cargo", "lint-manifests", *files]))
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
    wire = cargo_tests([*words, "-p", "ffa-abi"], 900, ignored_is_failure=False, **flags)
    core = cargo_tests([*words, "-p", "spmc", "--", *RUN_BY_MIRI], 900, ignored_is_failure=False, **flags)
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
    """Play a million random sequences of memory calls against the model, in several processes: a simulated system keeps
    its memory for ever."""
    words = ["cargo", "test", "--quiet", "--locked", "-p", "spmc", "--lib", "memory::tests::model::"]
    outcome = Outcome(0, 0)
    for first in range(0, 1_000_000, 100_000):
        outcome.add(cargo_tests(words, 600, HEMATITE_MODEL_SEQUENCES=100_000, HEMATITE_MODEL_SEED=first))
    return outcome


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
        outcome.add(one)
    return outcome


# ---- the image


def build_firmware():
    """Build and pack the firmware: one test."""
    return Outcome(int(boots.tests_flash().exists()), 0)


def reproducible():
    """Check that the same sources give the same images in another folder."""
    boots.tests_flash()
    return check(["tools/reproducible"], 600)


def panic_sites():
    """Check that the loop that answers calls reaches no place that can panic but those that have been argued."""
    boots.tests_flash()
    return check(["tools/panic-sites", "--check"])


# ---- other Normal worlds


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
        outcome.add(check([script, "--strict", "--no-tree", "--terse", "--no-summary", "--ignore", ignored, "-f", source], 60))
    return outcome


SUITES = [
    Suite("format", format_check),
    Suite("clippy, host crates", clippy_host),
    Suite("clippy, firmware crates", clippy_firmware),
    Suite("tests of the tools", tool_tests),
    Suite("host tests", host_tests),
    Suite("partition manifests", lint_manifests),
    Suite("firmware builds", build_firmware),
    Suite("firmware, 4 CPUs", lambda: boots.boot("cpus4", 300)),
    Suite("firmware, 1 CPU, counted time", lambda: boots.boot("cpus1-icount", 600, cpus=1, icount=True)),
    Suite("firmware, an older CPU", boots.older_cpu),
    Suite("firmware, a v1.0 Normal world", lambda: boots.boot("v1_0", 60, only="v1_0")),
    Suite("firmware, a v1.1 Normal world", lambda: boots.boot("v1_1", 60, only="v1_1")),
    Suite("firmware, partitions that die", boots.deaths),
    Suite("firmware, a partition that is restarted", boots.restarts),
    Suite("firmware, devices that raise levels", boots.cards),
    Suite("firmware, a partition with a managed exit", boots.managed),
    Suite("firmware, everything at once, 10 s", lambda: boots.stress(120)),
    Suite("firmware, malformed packages", boots.bad_packages),
    Suite("firmware, malformed SPMC manifest", boots.bad_spmc_manifest),
    Suite("firmware, landing pads taken out", boots.landing_pads),
    Suite("firmware, a hub and its windows", boots.hub),
    Suite("firmware, supervised messages", boots.supervised),
    Suite("firmware, receipts", boots.receipts),
    Suite("firmware, receipts that outlive a restart", boots.receipts_restarted),
    Suite("firmware, places that can panic", panic_sites),
    Suite("same image from another folder", reproducible),
    Suite("loom", loom, beside=True),
    Suite("Miri", miri, beside=True),
    Suite("Linux modules, checkpatch", checkpatch),
    Suite("Linux 7 under pKVM", lambda: totals(["tools/test-linux"], 900)),
    Suite("Linux 7 under pKVM, a shell on a terminal", shell.linux_shell),
    Suite("Linux 7 under pKVM, with a hub", lambda: totals(["tools/test-linux", "--hub"], 300)),
    Suite("U-Boot", lambda: totals(["tools/test-uboot"], 900)),
    # What takes long: make test-all.
    Suite("Linux, both kernels, with and without pKVM", lambda: totals(["tools/test-linux", "--all"], 1500), always=False),
    Suite("Linux, both kernels, with a hub", lambda: totals(["tools/test-linux", "--all", "--hub"], 1000), always=False),
    Suite("Linux, 10 boots in a row", lambda: totals(["tools/test-linux", "--repeat", "10"], 3600), always=False),
    Suite("firmware, four worlds (RME)", boots.four_worlds, always=False),
    Suite("firmware, 1 CPU", lambda: boots.boot("cpus1", 300, cpus=1), always=False),
    Suite("firmware, 8 CPUs", lambda: boots.boot("cpus8", 600, cpus=8), always=False),
    Suite("firmware, 4 CPUs, long", lambda: boots.boot("long4", 3600, qemu.LONG), always=False),
    Suite("line coverage of the host tests", coverage, always=False),
    Suite("firmware, everything at once, 10 minutes", lambda: boots.stress(1500, qemu.LONG), always=False),
    Suite("licences of dependencies", licences, always=False),
    Suite("memory model, a million sequences", memory_model, always=False, beside=True),
    Suite("fuzzing", fuzz, always=False, beside=True),
]
