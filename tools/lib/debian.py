# SPDX-License-Identifier: MIT OR Apache-2.0
"""Debian source packages, fetched through apt with a private source list; the machine's own lists stay as they are."""
import os
import shutil
import subprocess
import tempfile

from . import env

# The Debian mirror's address where apt names none.
DEFAULT_MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def mirror():
    """Return the address of the Debian mirror that apt already uses."""
    command = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"]
    sites = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.split()
    for site in sites:
        if site.rstrip("/").endswith("/debian"):
            return site.rstrip("/")
    return DEFAULT_MIRROR


def fetch_source(package, version, suite, into):
    """Download one source package of a suite (its .dsc, its tarballs) into a folder."""
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hematite-apt-") as private:
        os.makedirs(f"{private}/lists/partial")
        with open(f"{private}/sources.list", "w") as handle:
            signed = f"[signed-by={KEYRING}] " if os.path.exists(KEYRING) else ""
            handle.write(f"deb-src {signed}{mirror()} {suite} main\n")
        options = {
            "Dir::Etc::sourcelist": f"{private}/sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": f"{private}/lists",
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "APT::Sandbox::User": "",
            "APT::Update::Post-Invoke": "",
            "Debug::NoLocking": "1",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        env.run(["apt-get", *words, "-qq", "update"])
        env.run(["apt-get", *words, "-qq", "--download-only", "--only-source", "source", f"{package}={version}"], cwd=into)


def available():
    """Tell whether this machine has Debian's apt."""
    return shutil.which("apt-get") is not None
