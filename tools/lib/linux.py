# SPDX-License-Identifier: MIT OR Apache-2.0
"""Debian's Linux kernels as a Normal world: fetched, given our modules, packed with an initramfs, booted."""
import dataclasses
import json
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from . import boots, cpio, env, image, qemu

SOURCES = env.ROOT / "linux"
OUT = env.TARGET / "linux"
KERNEL_BASE = 0x60000000
INITRD_BASE = 0x70000000
USER_TARGET = "aarch64-unknown-linux-musl"
RECEIPTS_OF_A_KIND = 10
# The partitions beside the SPMC: the test module's, and the one that agent-receipt asks.
PARTITIONS = ["echo", "relay", "percpu", "receipts"]
# Those of a hub: the last two take part in supervised messages.
HUB_PARTITIONS = ["echo", "relay", "percpu", "steady", "slow"]
PKVM_LINE = "Protected hVHE mode initialized successfully"
# What no console may show. (TF-A's own `WARNING:` lines are not Linux's.)
FORBIDDEN = (
    r"WARNING: (CPU: |\S+:\d+ at )",
    r"\bBUG: ",
    r"\bOops\b|Internal error",
    r"Kernel panic|Unable to handle",
    r"rcu: INFO|rcu_\w+ (detected|self-detected) stall|soft lockup|hard LOCKUP|blocked for more than",
    r"possible (circular|recursive|irq) lock|INFO: inconsistent lock state",
    r"nVHE hyp (panic|BUG)|hyp panic",
    r"PANIC at PC|Unhandled Exception in EL3|panicked at",
)


def lock():
    """Return linux/packages.lock as its lines of words."""
    return [line.split() for line in (SOURCES / "packages.lock").read_text().splitlines()]


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One of the two kernels: `7` brings its own FF-A modules, `6` has its driver built out of tree."""

    name: str

    @property
    def release(self):
        """Return the release that `uname -r` prints."""
        (version,) = [words[2] for words in lock() if words[:2] == ["#", f"kernel{self.name}"]]
        return f"{version}-arm64"


KERNELS = (Kernel("7"), Kernel("6"))


def fetch(group):
    """Fetch a group of linux/packages.lock; return the paths."""
    done = subprocess.run([env.ROOT / "tools/linux-fetch", group], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        env.die(f"fetching '{group}' failed")
    return [pathlib.Path(line) for line in done.stdout.splitlines()]


def cached(name, words, make):
    """Return a folder of the cache that `make(folder)` fills once for a name and its inputs (`words`)."""
    folder = env.cache("linux", f"{name}-{env.sha256(repr(words).encode())[:12]}")
    if folder.is_dir():
        return folder
    with env.lock(env.cache("linux", f"lock-{name}")):
        if not folder.is_dir():
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            make(partial)
            partial.rename(folder)
    return folder


def unpack(deb, into):
    """Unpack a Debian package."""
    env.run(["dpkg-deb", "-x", deb, into])


def kernel_files(kernel):
    """Return the folder with a kernel's Image and, where Debian builds them, its FF-A modules."""

    def make(folder):
        with tempfile.TemporaryDirectory(prefix="hematite-linux-") as scratch:
            for deb in fetch(f"kernel{kernel.name}"):
                unpack(deb, scratch)
            (packed,) = pathlib.Path(scratch).rglob("vmlinuz*")
            shutil.copy(packed, folder / "Image")
            for module in ("ffa-core", "ffa-module"):
                for packed in pathlib.Path(scratch).rglob(f"{module}.ko.xz"):
                    (folder / f"{module}.ko").write_bytes(lzma.decompress(packed.read_bytes()))

    inputs = [words for words in lock() if words[0] == f"kernel{kernel.name}"]
    return cached(f"kernel-{kernel.release}", inputs, make)


def linux_source():
    """Return the parts of Linux's source that we use: its FF-A driver and checkpatch."""

    def make(folder):
        (tarball,) = fetch("source")
        env.say("unpacking Linux's FF-A driver")
        wanted = ("drivers/firmware/arm_ffa", "scripts/checkpatch.pl", "scripts/spelling.txt", "scripts/const_structs.checkpatch")
        words = ["tar", "-C", folder, "--strip-components=1", "-xf", tarball, "--wildcards"]
        env.run(words + [f"linux-*/{path}" for path in wanted])

    return cached("source", [words for words in lock() if words[0] == "source"], make)


def chroot(*words):
    """Run a command in the build environment; return what it printed."""
    return env.run([env.ROOT / "tools/linux-chroot", *words])


def build_tree():
    """Return the root of the build environment."""
    done = subprocess.run([env.ROOT / "tools/linux-chroot", "true"])
    if done.returncode != 0:
        env.die("the module build environment could not be made")
    return pathlib.Path(env.run([env.ROOT / "tools/linux-chroot", "--path"]).strip())


def tree_digest(folder, pattern="*"):
    """Return the digest of every file below a folder."""
    files = sorted(path for path in folder.rglob(pattern) if path.is_file())
    return [(str(path.relative_to(folder)), env.sha256(path)) for path in files]


def make_modules(kernel, source, arguments=(), symbols=()):
    """Build the modules of a folder for a kernel, in the build environment; return {name: contents}, and symbols."""
    tree = build_tree()
    work = pathlib.Path(tempfile.mkdtemp(prefix="modules-", dir=tree / "work"))
    try:
        shutil.copytree(source, work / "source", symlinks=True)
        extra = work / "extra.symvers"
        extra.write_text("".join(symbols))
        inside = f"/{work.relative_to(tree)}"
        said = chroot(
            "make", "-C", f"/usr/lib/modules/{kernel.release}/build", f"M={inside}/source", f"-j{os.cpu_count()}",
            "ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", f"KBUILD_EXTRA_SYMBOLS={inside}/extra.symvers",
            *arguments, "modules",
        )  # fmt: skip
        for line in said.splitlines():
            if re.search(r"\b(warning|error):", line, re.IGNORECASE):
                env.die(f"building {source.name} for {kernel.release}:\n{said}")
        modules = {path.name: path.read_bytes() for path in (work / "source").rglob("*.ko")}
        return modules, (work / "source" / "Module.symvers").read_text()
    finally:
        shutil.rmtree(work)


# What Debian's 6.12 configuration lacks, for its driver and for those who use its header.
FFA_OPTIONS = "-DCONFIG_ARM_FFA_TRANSPORT_MODULE=1 -DCONFIG_ARM_FFA_SMCCC=1"


def driver(kernel):
    """Return the folder with a kernel's ffa-core.ko and ffa-module.ko (and, where built here, their symbols)."""
    files = kernel_files(kernel)
    if (files / "ffa-core.ko").exists():
        return files

    def make(folder):
        env.say(f"building the FF-A driver for Linux {kernel.release}")
        options = ["CONFIG_ARM_FFA_TRANSPORT=m", "CONFIG_ARM_FFA_SMCCC=y", f"KCFLAGS={FFA_OPTIONS}"]
        modules, symbols = make_modules(kernel, linux_source() / "drivers/firmware/arm_ffa", options)
        for name, contents in modules.items():
            (folder / name).write_bytes(contents)
        (folder / "Module.symvers").write_text(symbols)

    return cached(f"driver-{kernel.release}", lock(), make)


def modules(kernel):
    """Return the folder with our modules for a kernel, built where a source changed."""
    base = driver(kernel)
    symvers = base / "Module.symvers"
    out = OUT / kernel.release
    inputs = repr((lock(), tree_digest(SOURCES / "modules")))
    stamp = out / "stamp"
    if stamp.exists() and stamp.read_text() == inputs:
        return out
    env.say(f"building our modules for Linux {kernel.release}")
    arguments = [f"KCFLAGS={FFA_OPTIONS}"] if symvers.exists() else []
    built, _ = make_modules(kernel, SOURCES / "modules", arguments, [symvers.read_text()] if symvers.exists() else [])
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name, contents in built.items():
        (out / name).write_bytes(contents)
    stamp.write_text(inputs)
    return out


def busybox():
    """Return busybox, static, for the guest."""

    def make(folder):
        (deb,) = fetch("guest")
        with tempfile.TemporaryDirectory(prefix="hematite-linux-") as scratch:
            unpack(deb, scratch)
            shutil.copy(pathlib.Path(scratch, "usr/bin/busybox"), folder / "busybox")

    return cached("busybox", [words for words in lock() if words[0] == "guest"], make) / "busybox"


def user_programs():
    """Build the guest's own programs, static; return {name: contents}."""
    out = OUT / "user"
    out.mkdir(parents=True, exist_ok=True)
    found = {}
    for source in sorted((SOURCES / "user").glob("*.c")):
        program = out / source.stem
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            env.run([f"{env.CROSS}gcc", "-static", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source])
        found[source.stem] = program.read_bytes()
    flags = {**os.environ, "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER": f"{env.CROSS}gcc"}
    words = ["cargo", "build", "--release", "--quiet", "--target", USER_TARGET]
    for name in ("agent-receipt", "hub"):
        words += ["--package", name]
    if subprocess.run(words, cwd=env.ROOT, env=flags).returncode != 0:
        env.die("building the guest's programs failed")
    for name in ("agent-receipt", "hub"):
        found[name] = (env.TARGET / USER_TARGET / "release" / name).read_bytes()
    return found


def sample_receipts():
    """Return receipts of the reference implementation for the guest: {name: contents}, with an index of them."""
    vectors = env.ROOT / "sp/receipts/judge/vectors/signet"
    index = json.loads((vectors / "index.json").read_text())
    plain = [v for v in index["vectors"] if v["api"] == "verify_any" and list(v["keys_options"]) == ["key"]]
    # Each accepted one's key is right; take some of either kind, an accepted one first.
    kinds = [[v for v in plain if v["expect"]["ok"] is ok] for ok in (True, False)]
    chosen = [v for kind in kinds for v in kind[:: max(1, len(kind) // RECEIPTS_OF_A_KIND)]]
    found = {v["file"]: (vectors / v["file"]).read_bytes() for v in chosen}
    lines = [f"{v['file']} {'ok' if v['expect']['ok'] else 'refused'} {v['keys_options']['key']}" for v in chosen]
    found["index"] = "".join(f"{line}\n" for line in lines).encode()
    return found


def initramfs(kernel):
    """Pack the guest's root: busybox, init, the modules, our programs."""
    archive = cpio.Archive()
    for folder in ("bin", "dev", "etc", "lib", "lib/modules", "proc", "root", "sys", "tmp", "usr", "usr/bin"):
        archive.folder(folder)
    archive.device("dev/console", 5, 1)
    archive.device("dev/null", 1, 3)
    archive.file("bin/busybox", busybox().read_bytes(), 0o755)
    archive.link("bin/sh", "busybox")
    archive.file("etc/motd", (SOURCES / "motd").read_bytes())
    for name, contents in user_programs().items():
        archive.file(f"usr/bin/{name}", contents, 0o755)
    archive.folder("root/receipts")
    for name, contents in sample_receipts().items():
        archive.file(f"root/receipts/{name}", contents)
    for path in sorted((SOURCES / "initramfs").iterdir()):
        where = "init" if path.name == "init" else f"usr/bin/{path.name}"
        archive.file(where, path.read_bytes(), 0o755)
    folders = (driver(kernel), modules(kernel))
    for path in sorted(path for folder in folders for path in folder.glob("*.ko")):
        archive.file(f"lib/modules/{path.name}", path.read_bytes())
    target = OUT / f"initramfs-{kernel.release}.cpio"
    env.write_if_changed(target, archive.finish())
    return target


def add_options(parser):
    """Add the options that say what is booted."""
    parser.add_argument("--kernel", choices=[kernel.name for kernel in KERNELS], default="7")
    parser.add_argument("--no-pkvm", action="store_true", help="leave the protected hypervisor out")
    parser.add_argument("--hub", action="store_true", help="with a hub that the Normal world coordinates")
    parser.add_argument("--bl32", default="hematite", help="as tools/firmware has it")
    parser.add_argument("--cpus", type=int, default=4)
    parser.add_argument("--only", help="the cases whose names begin so (default: all; with a hub, its own)")


def build_flash(options):
    """Build the firmware that the options want; return the flash image."""
    if options.hub:
        return boots.hub_flash("normal-world", "none", HUB_PARTITIONS, "attempts = <2>; redeliver-ms = <2000>; ", flavour="linux")
    return image.firmware(options.bl32, "none", PARTITIONS, flash=env.FIRMWARE / "linux.bin", flavour="linux")


def machine(kernel, flash, pkvm, mode, options, icount=False):
    """Return the machine that boots a kernel as the options want; `mode` is `test` or `shell`."""
    only = options.only or ("hub" if options.hub else "all")
    loaded = kernel_files(kernel) / "Image"
    root = initramfs(kernel)
    words = f"console=ttyAMA0 panic=-1 rdinit=/init initrd={INITRD_BASE:#x},{root.stat().st_size} hematite={mode} tests={only}"
    words += " kvm-arm.mode=protected" if pkvm else ""
    # A panic (panic=-1) ends the run instead of beginning another boot.
    extra = ["-no-reboot", "-kernel", loaded, "-append", words]
    for path, base in ((loaded, KERNEL_BASE), (root, INITRD_BASE)):
        extra += ["-device", f"loader,file={path},addr={base:#x},force-raw=on"]
    return qemu.Machine(flash, cpus=options.cpus, icount=icount, extra=[str(word) for word in extra])


def judge_boot(result, pkvm):
    """Note what a boot's consoles must and must not show."""
    both = result.lines + result.secure_lines
    for pattern in FORBIDDEN:
        for line in both:
            if re.search(pattern, line):
                result.reasons.append(f"a line matches /{pattern}/: {line}")
                break
    found = any(PKVM_LINE in line for line in both)
    if pkvm and not found:
        result.reasons.append(f"pKVM did not come up: no line has '{PKVM_LINE}'")
    if not pkvm and found:
        result.reasons.append("pKVM came up though it was not asked for")
    result.verdicts["boot"] = "; ".join(result.reasons) if result.reasons else "ok"
