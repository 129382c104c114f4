# SPDX-License-Identifier: MIT OR Apache-2.0
"""A suite: a function that returns an `Outcome`. One that cannot run is a failure; one in which no test ran is one too."""
import dataclasses
import os
import re
import signal
import subprocess
import time
import typing

from . import env

CARGO_RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;", re.M)
TOTALS = re.compile(r"^(\d+) passed, (\d+) failed$", re.M)


@dataclasses.dataclass
class Outcome:
    """What a suite found: counts, and the text that explains a failure."""

    passed: int
    failed: int
    text: str = ""

    def add(self, other):
        """Count another outcome in; only a failure has something to say."""
        self.passed += other.passed
        self.failed += other.failed
        self.text += other.text if other.failed else ""


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


def totals(words, limit):
    """Run a command that ends with `N passed, N failed`."""
    status, output = command(words, limit)
    found = TOTALS.findall(output)
    passed, failed = map(int, found[-1]) if found else (0, 0)
    if status != 0 and failed == 0:
        failed = 1
    return Outcome(passed, failed, output)


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
