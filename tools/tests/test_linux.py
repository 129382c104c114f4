# SPDX-License-Identifier: MIT OR Apache-2.0
"""Tests of what boots Linux."""
import pathlib
import subprocess
import tempfile
import unittest

from lib import cpio, env, linux, qemu


class Initramfs(unittest.TestCase):
    """The archive is what other readers of the format take it for."""

    def test_entries(self):
        archive = cpio.Archive()
        archive.folder("bin")
        archive.file("bin/a", b"12345", 0o755)
        archive.link("bin/b", "a")
        archive.device("console", 5, 1)
        data = archive.finish()
        self.assertEqual(len(data) % 4, 0)
        found, at = [], 0
        while at < len(data):
            self.assertEqual(data[at : at + 6], b"070701")
            fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
            size, name_size = fields[6], fields[11]
            name = data[at + 110 : at + 110 + name_size - 1].decode()
            body = (at + 110 + name_size + 3) & ~3
            found.append((name, fields[1], data[body : body + size], (fields[9], fields[10])))
            at = (body + size + 3) & ~3
        self.assertEqual(
            found,
            [
                ("bin", 0o40755, b"", (0, 0)),
                ("bin/a", 0o100755, b"12345", (0, 0)),
                ("bin/b", 0o120777, b"a", (0, 0)),
                ("console", 0o20600, b"", (5, 1)),
                ("TRAILER!!!", 0, b"", (0, 0)),
            ],
        )

    def test_scripts_parse(self):
        for script in (linux.SOURCES / "initramfs").iterdir():
            subprocess.run(["sh", "-n", str(script)], check=True)


class Record(unittest.TestCase):
    """linux/packages.lock is whole."""

    def test_lines(self):
        groups = set()
        for words in linux.lock():
            if words[0] == "#":
                continue
            group, path, size, digest = words
            groups.add(group)
            self.assertTrue(path.startswith(("debian/pool/", "debian-security/pool/")), path)
            self.assertGreater(int(size), 0)
            self.assertRegex(digest, "^[0-9a-f]{64}$")
        self.assertEqual(groups, {"kernel7", "kernel6", "headers", "guest", "build", "source", "uboot"})
        for kernel in linux.KERNELS:
            self.assertRegex(kernel.release, r"^[67]\.\d+\.\d+\+deb13-arm64$")

    def test_a_file_that_is_not_what_was_recorded_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            path = next(words[1] for words in linux.lock() if words[0] == "guest")
            wrong = pathlib.Path(folder, "mirror", path)
            wrong.parent.mkdir(parents=True)
            wrong.write_bytes(b"something else")
            variables = {"HEMATITE_CACHE": f"{folder}/cache", "HEMATITE_DEBIAN_MIRROR": f"file://{folder}/mirror"}
            done = subprocess.run(
                [env.ROOT / "tools/linux-fetch", "guest"], env={"PATH": "/usr/bin:/bin", **variables}, capture_output=True, text=True
            )
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("wrong SHA-256", done.stderr)
            self.assertEqual(list(pathlib.Path(folder, "cache/debian").iterdir()), [])


class Consoles(unittest.TestCase):
    """What a boot's consoles must not show is found there."""

    def judged(self, line, pkvm=True):
        result = qemu.Result(lines=[line, f"kvm [1]: {linux.PKVM_LINE}"] if pkvm else [line])
        linux.judge_boot(result, pkvm)
        return result.verdicts["boot"]

    def test_quiet(self):
        self.assertEqual(self.judged("[    0.1] Booting Linux"), "ok")
        self.assertEqual(self.judged("WARNING: BL2: no such thing"), "ok")

    def test_loud(self):
        for line in (
            "[    7.6] WARNING: kernel/irq/manage.c:2420 at __free_percpu_irq+0x100/0x1a0, CPU#1: insmod/123",
            "[    7.6] WARNING: CPU: 1 PID: 3 at kernel/x.c:1 f+0x1/0x2",
            "[    1.0] BUG: sleeping function called from invalid context",
            "[    7.7] Internal error: Oops: 0000000096000006 [#1]  SMP",
            "[   24.5] Kernel panic - not syncing: HYP panic:",
            "[   24.5] kvm [128]: nVHE hyp BUG at: [<ffff80008127bc88>] x",
            "[   40.0] rcu: INFO: rcu_preempt self-detected stall on CPU",
            "[   40.0] watchdog: BUG: soft lockup - CPU#0 stuck for 26s!",
            "[   40.0] INFO: task insmod:123 blocked for more than 120 seconds.",
            "WARNING: possible circular locking dependency detected",
            "panicked at src/main.rs:1",
        ):
            self.assertNotEqual(self.judged(line), "ok", line)

    def test_pkvm(self):
        result = qemu.Result(lines=["[    0.1] Booting Linux"])
        linux.judge_boot(result, True)
        self.assertNotEqual(result.verdicts["boot"], "ok")
        result = qemu.Result(lines=[f"kvm [1]: {linux.PKVM_LINE}"])
        linux.judge_boot(result, False)
        self.assertNotEqual(result.verdicts["boot"], "ok")


if __name__ == "__main__":
    unittest.main()
