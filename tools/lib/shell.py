# SPDX-License-Identifier: MIT OR Apache-2.0
"""Use `make run-linux` as a person does: on a terminal, from the shell's prompt."""
import os
import pty
import re
import selectors
import subprocess
import time

from . import env, linux, qemu
from .suite import Outcome, Stop

PROMPT = "hematite# "
LIMIT = 480
# What is typed, and what each line must bring; together they are the suite's tests, with the boot and the power-off.
STEPS = (
    ("nproc", r"^4$"),
    ("all-tests version", r"^3 passed, 0 failed$"),
    ("cd /sys/kernel/debug/ffa_test; echo direct >run; cat results", r"^[1-9]\d* passed, 0 failed$"),
    ("ffa 0xc400006f 0x8001 0 0 0xbbbb", r"^x4 0xcbbb$"),
    ("ls /sys/bus/arm_ffa/devices", r"^arm-ffa-1\b"),
    ("agent-receipt head", r"^accepted: true$"),
    ("agent-receipt verify /nowhere; echo status $?", r"^agent-receipt: /nowhere: No such file .*\n(.*\n)*status 2$"),
    ("hub status", r"the SPMC's manifest has no hub"),
)


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, command, limit):
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=env.ROOT, start_new_session=True)
        os.close(theirs)
        self.limit, self.shown = time.monotonic() + limit, ""

    def until(self, end):
        """Return what is shown from now on until it ends with `end`; None stands for the end of the command."""
        began, raw = len(self.shown), b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.ours, selectors.EVENT_READ)
            while end is None or not self.shown[began:].endswith(end):
                if time.monotonic() > self.limit:
                    raise Stop(f"no {end!r} in time; the last lines:\n{self.shown[-2000:]}")
                if not selector.select(1):
                    continue
                try:
                    raw = os.read(self.ours, 65536)
                except OSError:  # nobody has the other side any more
                    raw = b""
                if not raw and end is not None:
                    raise Stop(f"the command ended before {end!r}; the last lines:\n{self.shown[-2000:]}")
                if not raw:
                    break
                self.shown += re.sub(r"\x1b\[[0-9;]*[a-zA-Z]|\r", "", raw.decode("utf-8", "replace"))
        return self.shown[began:]

    def type(self, line):
        """Type a line."""
        os.write(self.ours, line.encode() + b"\n")

    def close(self):
        """End the command, where it did not end by itself."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        os.close(self.ours)


def linux_shell():
    """Boot to the prompt, type lines, leave the shell: the machine must power itself off."""
    outcome = Outcome(0, 0)

    def note(good, why):
        outcome.add(Outcome(int(bool(good)), int(not good), f"{why}\n"))

    terminal = Terminal(["make", "run-linux"], LIMIT)
    try:
        shown = terminal.until(PROMPT)
        note(re.search(r"^[1-9]\d* passed, 0 failed$", shown, re.M), f"the module's cases:\n{shown[-2000:]}")
        for line, expected in STEPS:
            terminal.type(line)
            shown = terminal.until(PROMPT)
            note(re.search(expected, shown, re.M), f"'{line}' should show /{expected}/, and shows:\n{shown}")
        terminal.type("exit")
        note("reboot: Power down" in terminal.until(None), "leaving the shell does not power off")
        status = terminal.process.wait()
        note(status == 0, f"make run-linux ends with status {status}")
    finally:
        terminal.close()
    result = qemu.Result(lines=terminal.shown.splitlines())
    linux.judge_boot(result, True)
    note(result.verdicts["boot"] == "ok", result.verdicts["boot"])
    return outcome
