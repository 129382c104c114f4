# SPDX-License-Identifier: MIT OR Apache-2.0
"""Trusted Firmware-A: fetched once, built once per set of flags, kept in the cache.

Only BL1, BL2 and BL31 are TF-A's. The flash image is packed by `fip.py` at each change of ours, in no time.
"""
import os
import pathlib
import shutil

from . import debian, env

VERSION = "2.12.1"
DEBIAN_VERSION = "2.12.1+dfsg-1"
DEBIAN_SUITE = "trixie"
TARBALL = "arm-trusted-firmware_2.12.1+dfsg.orig.tar.xz"
TARBALL_SHA256 = "332c08d71867b7f0dce0bce4cb2abd80f19cb3e0a2de6fe07245c111189d6fb7"
UPSTREAM = "https://git.trustedfirmware.org/TF-A/trusted-firmware-a.git"
UPSTREAM_TAG = "lts-v2.12.1"

COMMON = {
    "PLAT": "qemu",
    "SPD": "spmd",
    "SPMD_SPM_AT_SEL2": "1",
    "CTX_INCLUDE_EL2_REGS": "1",
    "CTX_INCLUDE_PAUTH_REGS": "1",
    "ENABLE_FEAT_MTE2": "1",
    "ENABLE_SVE_FOR_SWD": "1",
    "ENABLE_SME_FOR_SWD": "1",
    "QEMU_USE_GIC_DRIVER": "QEMU_GICV3",
    "BL32_RAM_LOCATION": "tdram",
    "DEBUG": "1",
    # The same sources give the same bytes.
    "BUILD_STRING": f"v{VERSION}",
    "BUILD_MESSAGE_TIMESTAMP": '""',
}
SEL2 = {"ENABLE_FEAT_SEL2": "1", "ARM_ARCH_MINOR": "5"}
# Each set of flags by its name; a set's patches are in tools/tfa-patches/<name>/, those that every build of the fetched
# source gets in tools/tfa-patches/all/.
FLAVOURS = {
    # BL33 is a bare image in the flash image.
    "default": {**COMMON, **SEL2},
    # BL33 is a Linux kernel that QEMU put at 0x60000000.
    "linux": {**COMMON, **SEL2, "ARM_LINUX_KERNEL_AS_BL33": "1", "PRELOADED_BL33_BASE": "0x60000000"},
    # All four worlds, with granule protection.
    "rme": {**COMMON, "ENABLE_RME": "1"},
}
PRODUCTS = {
    "default": ("bl1.bin", "bl2.bin", "bl31.bin"),
    "linux": ("bl1.bin", "bl2.bin", "bl31.bin"),
    "rme": ("bl1.bin", "bl2.bin", "bl31.bin", "rmm.bin"),
}


def source():
    """Return TF-A's source tree, fetching it where it is not there yet."""
    if os.environ.get("TFA_DIR"):
        tree = pathlib.Path(os.environ["TFA_DIR"]).absolute()
        if not (tree / "plat/qemu").is_dir():
            env.die(f"TFA_DIR={tree} is no TF-A source tree")
        return tree
    tree = env.cache("tfa", f"source-{VERSION}")
    if tree.is_dir():
        return tree
    with env.lock(env.cache("tfa", "lock-source")):
        if tree.is_dir():
            return tree
        partial = tree.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        if debian.available():
            fetch_from_debian(partial)
        else:
            env.say(f"cloning TF-A {UPSTREAM_TAG}")
            env.run(["git", "clone", "--quiet", "--depth", "1", "--branch", UPSTREAM_TAG, UPSTREAM, partial])
        partial.rename(tree)
    return tree


def fetch_from_debian(into):
    """Fetch the upstream tarball of Debian's source package, check it, unpack it."""
    tarball = env.cache("downloads", TARBALL)
    if not tarball.exists() or env.sha256(tarball) != TARBALL_SHA256:
        env.say(f"fetching TF-A {DEBIAN_VERSION} from Debian {DEBIAN_SUITE}")
        debian.fetch_source("arm-trusted-firmware", DEBIAN_VERSION, DEBIAN_SUITE, tarball.parent)
    found = env.sha256(tarball)
    if found != TARBALL_SHA256:
        env.die(f"{tarball} has SHA-256 {found}, expected {TARBALL_SHA256}")
    into.mkdir(parents=True)
    env.run(["tar", "-C", into, "--strip-components=1", "-xJf", tarball])


def build(flavour="default"):
    """Build a flavour where its build is not in the cache; return the folder that holds its binaries."""
    flags = FLAVOURS[flavour]
    tree = source()
    folders = [flavour] if os.environ.get("TFA_DIR") else ["all", flavour]
    patches = [patch for name in folders for patch in sorted((env.ROOT / "tools/tfa-patches" / name).glob("*.patch"))]
    compiler = env.run([f"{env.CROSS}gcc", "-dumpfullversion"]).strip()
    key = repr((str(tree), VERSION, compiler, sorted(flags.items()), [env.sha256(patch) for patch in patches]))
    base = env.cache("tfa", f"build-{flavour}-{env.sha256(key.encode())[:12]}")
    out = base / "qemu" / "debug"
    done = base / "done"
    # A tree that the user works on may change at any time: make decides.
    if done.exists() and not os.environ.get("TFA_DIR"):
        return out
    with env.lock(env.cache("tfa", f"lock-{base.name}")):
        if done.exists() and not os.environ.get("TFA_DIR"):
            return out
        env.say(f"building TF-A {VERSION} ({flavour})")
        base.mkdir(parents=True, exist_ok=True)
        if patches:
            copy = base / "source"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(tree, copy, symlinks=True)
            for patch in patches:
                env.run(["patch", "-d", copy, "-p1", "-i", patch])
            tree = copy
        # BL2 takes its list of packages from TB_FW_CONFIG; the build wants a layout file all the same.
        layout = env.write_if_changed(base / "layout.json", "{}\n")
        words = [f"{name}={value}" for name, value in flags.items()]
        words += [f"CROSS_COMPILE={env.CROSS}", f"SP_LAYOUT_FILE={layout}", f"BUILD_BASE={base}"]
        goals = [name.removesuffix(".bin") for name in PRODUCTS[flavour]]
        environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CFLAGS")}
        environment["SOURCE_DATE_EPOCH"] = "0"
        env.run(["make", "-C", tree, f"-j{os.cpu_count()}", *words, *goals], env=environment)
        done.touch()
    return out
