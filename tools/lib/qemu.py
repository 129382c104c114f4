# SPDX-License-Identifier: MIT OR Apache-2.0
"""Booting a machine on QEMU under a time limit, and judging what its consoles say.

UART0 is the Normal world's console (and TF-A's), UART1 the secure one. The machine must end by itself: by PSCI
SYSTEM_OFF, which QEMU turns into exit status 0.
"""
import dataclasses
import os
import pathlib
import re
import selectors
import subprocess
import time

from . import env

VERDICT = re.compile(r"^test (\S+) \.\.\. (ok|FAILED: .*)$")
STARTED = re.compile(r"^test (\S+) \.\.\. ?")
TOTAL = re.compile(r"^(\d+) passed, (\d+) failed$")
BENCH = re.compile(r"^bench\t([^\t]+)\t(\d+)$")
# TF-A's lines that show how far the boot came.
STAGE = re.compile(r"^(NOTICE|WARNING|ERROR): ")
CHATTER = re.compile(r"^(INFO|VERBOSE): |^WARNING: SPM: Unsupported call ")
# EL3 spins for ever after these.
EL3_DEAD = re.compile(r"^(PANIC at PC|PANIC in EL3|Unhandled Exception in EL3|BACKTRACE: START: .*panic|ASSERT: )")
# Noise in a tail: TF-A lists its power domains at each power-off, and each call that no SPMC ever sees.
NOISE = re.compile(
    r"^INFO:    (PSCI Power Domain Map:|  Domain Node :|  CPU Node :)|^WARNING: SPM: Unsupported call "
    r"|^\w+\s+= 0x[0-9a-f]{16}$|^0x[0-9a-f]{3}:\t|^(gicd_ispendr regs|Offset\t)"
)
# Where the BL33 test image reads what is wanted of it.
MODE_WORDS = 0x60200000
# The SPMC says one of these when it stops a CPU, which it never should.
SPMC_DEAD = re.compile(r"^(PANIC on CPU |FATAL: .* taken at S-EL2 )")
CALLER = re.compile(r"^  maybe called from (0x[0-9a-f]+)$")
# How long a machine that EL3 gave up on may still print.
DEAD_GRACE = 2.0
TAIL = 25


@dataclasses.dataclass
class Machine:
    """What to boot."""

    flash: pathlib.Path
    cpus: int = 4
    memory: str = "2G"
    cpu: str = "max"
    icount: bool = False
    machine: str = ""
    extra: list = dataclasses.field(default_factory=list)
    gdb: bool = False

    def command(self, secure_console):
        """Return QEMU's command line; UART0 is its standard output."""
        binary = os.environ.get("QEMU", "qemu-system-aarch64")
        machine = "virt,secure=on,virtualization=on,gic-version=3,mte=on"
        words = [binary, "-machine", machine + ("," + self.machine if self.machine else ""), "-cpu", self.cpu]
        words += ["-smp", str(self.cpus), "-m", self.memory, "-display", "none", "-monitor", "none", "-nic", "none"]
        words += ["-bios", str(self.flash), "-serial", "stdio", "-serial", f"file:{secure_console}"]
        words += ["-icount", "shift=0,sleep=off"] if self.icount else []
        words += ["-s", "-S"] if self.gdb else []
        return words + list(self.extra)


# How often the BL33 test image's cases repeat what needs repeating.
SHORT, FULL, LONG = range(3)


def mode(length=SHORT, seed=0, only=""):
    """Return the words for QEMU that tell the BL33 test image what is wanted: its length, a seed, a name's start."""
    only = int.from_bytes(only.encode()[:8], "little")
    words = []
    for index, value in enumerate((length, seed, only)):
        if value:
            words += ["-device", f"loader,addr=0x{MODE_WORDS + 8 * index:x},data=0x{value:x},data-len=8"]
    return words


@dataclasses.dataclass
class Result:
    """What a run showed."""

    passed: int = 0
    failed: int = 0
    reasons: list = dataclasses.field(default_factory=list)
    verdicts: dict = dataclasses.field(default_factory=dict)
    bench: dict = dataclasses.field(default_factory=dict)
    lines: list = dataclasses.field(default_factory=list)
    secure_lines: list = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self):
        """Tell whether everything passed, and something did."""
        return self.passed > 0 and self.failed == 0 and not self.reasons


class Follower:
    """Reads a growing file line by line."""

    def __init__(self, path):
        self.path, self.offset, self.rest = path, 0, b""

    def lines(self, last=False):
        """Return the lines that are complete by now; at the end also the incomplete one."""
        try:
            with open(self.path, "rb") as handle:
                handle.seek(self.offset)
                data = handle.read()
        except FileNotFoundError:
            data = b""
        self.offset += len(data)
        *complete, self.rest = (self.rest + data).split(b"\n")
        if last and self.rest:
            complete.append(self.rest)
            self.rest = b""
        return [clean(line) for line in complete]


def clean(raw):
    """Return a console's line without what a terminal would act on."""
    return re.sub(r"[^\t\x20-\uffff]", "", raw.decode("utf-8", "replace"))


class Show:
    """Decides which console lines reach the terminal: `quiet` none, `stages` the boot and the tests, `all` all."""

    def __init__(self, mode):
        self.mode, self.tests_began, self.ended = mode, False, False

    def normal(self, line):
        """Show a line of UART0; what TF-A says at the power-off is noise."""
        if STARTED.match(line) or line.startswith("# "):
            self.tests_began = True
        if TOTAL.match(line):
            self.ended = True
            return
        if self.mode == "quiet" or not line or (self.ended and self.mode != "all"):
            return
        told = (self.tests_began or STAGE.match(line)) and not CHATTER.match(line)
        if self.mode == "all" or told:
            print(line, flush=True)

    def secure(self, line):
        """Show a line of UART1: the boot report, until the tests begin."""
        if self.mode == "all" or (self.mode == "stages" and not self.tests_began):
            print(f"  secure | {line}", flush=True)


def run(machine, timeout, name="qemu", show="stages", protocol="tests", expect=(), forbid=()):
    """Boot a machine and judge it.

    `protocol`: "tests" (each verdict line counts, and the last line's totals must agree with them), "bench" (bench
    lines, at least one), "expect" (each pattern of `expect` must match some line of either console, and counts as one
    test). A line that matches a pattern of `forbid` is a failure. In each case the machine must power itself off within
    `timeout` seconds.
    """
    env.FIRMWARE.mkdir(parents=True, exist_ok=True)
    secure_path = env.FIRMWARE / f"{name}.secure.log"
    normal_path = env.FIRMWARE / f"{name}.normal.log"
    secure_path.unlink(missing_ok=True)
    result, screen, secure = Result(), Show(show), Follower(secure_path)
    command = machine.command(secure_path)
    began = time.monotonic()
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except FileNotFoundError:
        env.die(f"{command[0]} is not installed: run tools/setup")
    deadline, dead_at, rest, ended = began + timeout, None, b"", False

    def take_secure(last=False):
        nonlocal dead_at
        for line in secure.lines(last):
            result.secure_lines.append(line)
            screen.secure(line)
            if SPMC_DEAD.match(line):
                result.reasons.append(f"the SPMC stopped: {line}")
            # EL3 says that it panicked at each power-off, too: a machine that ends in time is not judged by that.
            if (SPMC_DEAD.match(line) or EL3_DEAD.match(line)) and dead_at is None:
                dead_at = time.monotonic() + DEAD_GRACE

    def take(line):
        nonlocal dead_at
        take_secure()
        result.lines.append(line)
        screen.normal(line)
        if EL3_DEAD.match(line) and dead_at is None:
            dead_at = time.monotonic() + DEAD_GRACE

    try:
        with selectors.DefaultSelector() as selector, open(normal_path, "wb") as log:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not ended:
                now = time.monotonic()
                if now > deadline or (dead_at is not None and now > dead_at):
                    break
                if selector.select(0.1):
                    data = os.read(process.stdout.fileno(), 65536)
                    log.write(data)
                    ended = not data
                    *complete, rest = (rest + data).split(b"\n")
                    for raw in complete:
                        take(clean(raw))
                take_secure()
        if rest:
            take(clean(rest))
        if ended:
            status = process.wait()
            if status != 0:
                result.reasons.append(f"QEMU ended with status {status}")
        elif dead_at is not None:
            result.reasons.append("a part of the firmware panicked; the machine was ended")
        else:
            result.reasons.append(f"the machine did not power itself off within {timeout:g} s")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
    take_secure(last=True)
    result.seconds = time.monotonic() - began
    judge(result, protocol, expect, forbid)
    return result


def judge(result, protocol, expect, forbid):
    """Count what passed and what failed, and note each reason for distrust."""
    both = result.lines + result.secure_lines
    if protocol == "tests":
        judge_tests(result)
    elif protocol == "bench":
        for line in result.lines:
            if match := BENCH.match(line):
                result.bench[match[1]] = int(match[2])
        if not result.bench:
            result.reasons.append("no bench line was seen")
        result.passed = len(result.bench)
    else:
        for pattern in expect:
            if any(re.search(pattern, line) for line in both):
                result.passed += 1
            else:
                result.failed += 1
                result.reasons.append(f"no line matches /{pattern}/")
    for pattern in forbid:
        for line in both:
            if re.search(pattern, line):
                result.reasons.append(f"a line matches /{pattern}/: {line}")
                break
    if result.reasons and result.failed == 0:
        result.failed = 1


def judge_tests(result):
    """Judge the protocol of the BL33 test image."""
    totals, open_test = [], None
    for line in result.lines:
        if match := VERDICT.match(line):
            if match[1] in result.verdicts:
                result.reasons.append(f"test {match[1]} ran twice")
            if totals:
                result.reasons.append(f"test {match[1]} came after the totals")
            result.verdicts[match[1]] = match[2]
            open_test = None
        elif match := STARTED.match(line):
            open_test = match[1]
        elif match := TOTAL.match(line):
            totals.append((int(match[1]), int(match[2])))
    result.passed = sum(verdict == "ok" for verdict in result.verdicts.values())
    result.failed = len(result.verdicts) - result.passed
    if open_test is not None:
        result.failed += 1
        result.reasons.append(f"test {open_test} began and gave no verdict")
    if not totals:
        result.reasons.append("the line of totals was not seen")
    elif totals[-1] != (result.passed, result.failed) or len(totals) > 1:
        result.reasons.append(f"totals say {totals}, the lines {result.passed} passed, {result.failed} failed")
    if not result.verdicts:
        result.reasons.append("no test ran")


def name_callers(lines):
    """Add to the callers in a report of the SPMC the functions that they are in."""
    elf = env.TARGET / "spmc" / "aarch64-unknown-none-softfloat" / "release" / "hematite"
    addresses = [match[1] for line in lines if (match := CALLER.match(line))]
    if not addresses or not elf.exists():
        return lines
    command = [f"{env.CROSS}addr2line", "-f", "-C", "-s", "-p", "-e", str(elf), *addresses]
    named = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.splitlines()
    names = iter(named if len(named) == len(addresses) else [""] * len(addresses))
    return [f"{line} {next(names)}" if CALLER.match(line) else line for line in lines]


def explanation(result):
    """Tell why a run failed, with both consoles' tails."""
    text = []
    for title, lines in (("Normal world's console", result.lines), ("secure console", result.secure_lines)):
        lines = [line for line in lines if not NOISE.match(line)]
        text.append(f"---- the {title}, its last {min(TAIL, len(lines))} lines of {len(lines)}")
        text += [f"  {line}" for line in name_callers(lines[-TAIL:])]
    text.append("----")
    for test, verdict in result.verdicts.items():
        if verdict != "ok":
            text.append(f"FAILED: test {test}: {verdict.removeprefix('FAILED: ')}")
    text += [f"FAILED: {reason}" for reason in result.reasons]
    return "\n".join(text)
