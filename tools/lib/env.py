# SPDX-License-Identifier: MIT OR Apache-2.0
"""Where things are, and how to run a command."""
import contextlib
import fcntl
import hashlib
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()
FIRMWARE = TARGET / "firmware"
# Where rustup puts the commands when no profile says so.
os.environ["PATH"] += os.pathsep + os.path.join(os.environ.get("CARGO_HOME") or os.path.expanduser("~/.cargo"), "bin")
CROSS = os.environ.get("CROSS_COMPILE", "aarch64-linux-gnu-")


def cache(*parts):
    """Return a path in the cache that every checkout shares (downloads and third-party builds)."""
    base = os.environ.get("HEMATITE_CACHE")
    if not base:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "hematite")
    path = pathlib.Path(base, *parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def say(text):
    """Print a stage of the work to the terminal at once."""
    print(f"== {text}", file=sys.stderr, flush=True)


def die(text):
    """Stop the command with a reason."""
    sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {text}")


def run(command, quiet=True, **options):
    """Run a command; where it fails, show what it printed and stop."""
    command = [str(word) for word in command]
    if quiet:
        options.update(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    try:
        done = subprocess.run(command, **options)
    except FileNotFoundError:
        die(f"{command[0]} is not installed: run tools/setup")
    if done.returncode != 0:
        if quiet:
            sys.stderr.write("".join(done.stdout.splitlines(keepends=True)[-60:]))
        die(f"this command failed with status {done.returncode}: {' '.join(command)}")
    return done.stdout if quiet else ""


def sha256(data):
    """Return the SHA-256 of bytes, or of a file's contents, in hexadecimal."""
    if isinstance(data, (str, pathlib.Path)):
        data = pathlib.Path(data).read_bytes()
    return hashlib.sha256(data).hexdigest()


def write_if_changed(path, data):
    """Write a file only where its contents differ, so that what is built from it is not built again."""
    data = data.encode() if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != data:
        path.write_bytes(data)
    return path


@contextlib.contextmanager
def lock(path):
    """Hold a lock file, so that two checkouts do not fill the same cache entry at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
