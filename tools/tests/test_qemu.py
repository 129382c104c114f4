# SPDX-License-Identifier: MIT OR Apache-2.0
"""The runner must call nothing passed that did not pass: each way to fail is shown to it."""
import os
import pathlib
import stat
import tempfile
import time
import unittest

from lib import env, qemu, suite

PASSING = "NOTICE:  BL31: here\ntest a::one ... ok\ntest a::two ... ok\n2 passed, 0 failed\n"


class Judge(unittest.TestCase):
    """A machine is played by a script, run in QEMU's place."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.before = os.environ.get("QEMU")
        self.firmware, env.FIRMWARE = env.FIRMWARE, pathlib.Path(self.folder.name)

    def tearDown(self):
        env.FIRMWARE = self.firmware
        os.environ.pop("QEMU")
        if self.before is not None:
            os.environ["QEMU"] = self.before
        self.folder.cleanup()

    def play(self, text, status=0, then="", timeout=5.0, secure="", **options):
        """Run a machine that prints a text and ends with a status."""
        folder = pathlib.Path(self.folder.name)
        (folder / "text").write_text(text)
        (folder / "secure-text").write_text(secure)
        script = folder / "machine"
        find = 'for word; do case $word in file:*) cat %s >"${word#file:}";; esac; done' % (folder / "secure-text")
        script.write_text(f"#!/bin/sh\n{find}\ncat {folder / 'text'}\n{then}\nexit {status}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        os.environ["QEMU"] = str(script)
        return qemu.run(qemu.Machine(folder / "flash"), timeout, show="quiet", **options)

    def test_passes(self):
        result = self.play(PASSING)
        self.assertTrue(result.good, result.reasons)
        self.assertEqual((result.passed, result.failed), (2, 0))

    def test_failed_case(self):
        result = self.play("test a::one ... FAILED: x: expected 1, got 2\ntest a::two ... ok\n1 passed, 1 failed\n")
        self.assertFalse(result.good)
        self.assertEqual((result.passed, result.failed), (1, 1))
        self.assertIn("expected 1, got 2", qemu.explanation(result))

    def test_no_totals(self):
        self.assertFalse(self.play("test a::one ... ok\n").good)

    def test_totals_disagree(self):
        self.assertFalse(self.play("test a::one ... ok\n2 passed, 0 failed\n").good)

    def test_totals_hide_a_failure(self):
        self.assertFalse(self.play("test a::one ... FAILED: x\ntest a::two ... ok\n2 passed, 0 failed\n").good)

    def test_nothing_ran(self):
        self.assertFalse(self.play("0 passed, 0 failed\n").good)

    def test_case_without_verdict(self):
        result = self.play("test a::one ... ok\ntest a::two ... \n1 passed, 0 failed\n")
        self.assertFalse(result.good)
        self.assertEqual(result.failed, 1)

    def test_case_twice(self):
        self.assertFalse(self.play("test a::one ... ok\ntest a::one ... ok\n1 passed, 0 failed\n").good)

    def test_case_after_totals(self):
        self.assertFalse(self.play("test a::one ... ok\n1 passed, 0 failed\ntest a::two ... ok\n").good)

    def test_totals_twice(self):
        self.assertFalse(self.play("test a::one ... ok\n1 passed, 0 failed\n1 passed, 0 failed\n").good)

    def test_status(self):
        self.assertFalse(self.play(PASSING, status=1).good)

    def test_hang(self):
        began = time.monotonic()
        result = self.play(PASSING, then="exec sleep 60", timeout=1)
        self.assertFalse(result.good)
        self.assertGreaterEqual(result.failed, 1)
        self.assertLess(time.monotonic() - began, 10)
        self.assertIn("within 1 s", qemu.explanation(result))

    def test_el3_panic_ends_early(self):
        began = time.monotonic()
        result = self.play("PANIC in EL3.\n", then="exec sleep 60", timeout=50)
        self.assertFalse(result.good)
        self.assertLess(time.monotonic() - began, 20)

    def test_spmc_panic(self):
        for said in ("PANIC on CPU 1: x\n", "FATAL: data abort taken at S-EL2 on CPU 0\n"):
            began = time.monotonic()
            result = self.play(PASSING, secure=said)
            self.assertFalse(result.good)
            result = self.play("", secure=said, then="exec sleep 60", timeout=50)
            self.assertFalse(result.good)
            self.assertLess(time.monotonic() - began, 20)

    def test_last_line_without_newline(self):
        self.assertTrue(self.play(PASSING.rstrip("\n")).good)

    def test_expect_and_forbid(self):
        options = {"protocol": "expect", "expect": ["here$", "^secure word"]}
        self.assertTrue(self.play(PASSING, secure="secure word\n", **options).good)
        self.assertFalse(self.play(PASSING, secure="other\n", **options).good)
        self.assertFalse(self.play(PASSING, secure="secure word\n", forbid=["BL31"], **options).good)

    def test_bench(self):
        result = self.play("bench\techo\t1234\n", protocol="bench")
        self.assertEqual(result.bench, {"echo": 1234})
        self.assertTrue(result.good)
        self.assertFalse(self.play("nothing\n", protocol="bench").good)


class Suites(unittest.TestCase):
    """The test driver counts a suite that did not run as failed."""

    def outcome(self, function):
        return suite.run_suite(suite.Suite("a suite", function))[0]

    def test_no_test(self):
        self.assertEqual(self.outcome(lambda: suite.Outcome(0, 0)).failed, 1)

    def test_stop(self):
        def stop():
            raise suite.Stop("cannot run here")

        self.assertEqual(self.outcome(stop).failed, 1)

    def test_exit(self):
        self.assertEqual(self.outcome(lambda: env.die("no")).failed, 1)

    def test_error(self):
        self.assertEqual(self.outcome(lambda: 1 // 0).failed, 1)

    def test_status_counts(self):
        self.assertEqual(suite.check(["false"]).failed, 1)
        self.assertEqual(suite.check(["true"]).passed, 1)

    def test_limit(self):
        self.assertEqual(suite.check(["sleep", "30"], limit=0.2).failed, 1)

    def test_cargo_counts(self):
        text = "test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured\\n"
        outcome = suite.cargo_tests(["printf", text + text])
        self.assertEqual((outcome.passed, outcome.failed), (10, 0))
        outcome = suite.cargo_tests(["printf", text.replace("0 ignored", "2 ignored")])
        self.assertEqual((outcome.passed, outcome.failed), (5, 2))
        outcome = suite.cargo_tests(["sh", "-c", f"printf '{text}'; exit 1"])
        self.assertEqual(outcome.failed, 1)


if __name__ == "__main__":
    unittest.main()
