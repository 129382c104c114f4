# SPDX-License-Identifier: MIT OR Apache-2.0
"""Building the firmware: the SPMC, the partitions, the BL33 image, and the flash image made of them."""
import dataclasses
import functools
import os
import pathlib
import re
import struct
import subprocess
import sys
import tomllib
import uuid

from . import env, fdt, fip, manifest, tfa

SPMC_TARGET = "aarch64-unknown-none-softfloat"
PARTITION_TARGET = "aarch64-unknown-none"
BL33_TARGET = SPMC_TARGET
# rustc's flags for the SPMC alone: addresses in one instruction, since its image and data lie within 1 MiB; equal pieces
# of functions shared, of pieces too; one piece of code for all functions that save and restore the same registers; and a
# landing pad (BTI) wherever an indirect branch may go.
SPMC_FLAGS = (
    "-Ccode-model=tiny",
    "-Cllvm-args=-machine-outliner-reruns=3",
    "-Cllvm-args=-homogeneous-prolog-epilog",
    "-Zbranch-protection=bti",
    "--cfg=landing_pads",
)
# The pages of all of its code are guarded, so the language's own libraries need landing pads, too: they are built along,
# for which cargo gets the crates that their lock file names. The pinned stable compiler has both options, and gives them
# to who asks in the way that Linux does for its Rust code.
SPMC_LIBRARIES = ("-Zbuild-std=core,alloc",)
SPMC_SETTINGS = {"RUSTC_BOOTSTRAP": "1"}
# TF-A on QEMU knows two clusters of four CPUs.
CPUS = 8
DEFAULT_MEM_SIZE = 0x100000
# The partitions whose ids the tests rely on: 0x8001, 0x8002, 0x8003. Others follow by name.
FIRST_PARTITIONS = ("echo", "relay", "percpu")
# What rustc says, at every build, of the feature that .cargo/config.toml takes from the partitions' target.
EXPECTED_WARNING = re.compile(r"\S*warning\S*: \S*unknown and unstable feature [^\n]*`strict-align`[^\n]*\n(?:[^\n]+\n)*\n?")


@dataclasses.dataclass
class Partition:
    """A folder sp/<name>/ that has a manifest."""

    name: str
    folder: pathlib.Path
    package: str
    target: str
    mem_size: int
    blob: bytes
    load_address: int
    contexts: int
    uuid: uuid.UUID
    package_bytes: bytes = b""


@functools.cache
def sysroot():
    """Return the toolchain's folder."""
    return pathlib.Path(subprocess.check_output(["rustc", "--print", "sysroot"], text=True, cwd=env.ROOT).strip())


def objcopy(elf, raw):
    """Write an executable's loadable bytes, from its lowest address on, to a raw image."""
    found = sorted(sysroot().glob("lib/rustlib/*/bin/*objcopy"))
    if not found:
        env.die("the toolchain has no objcopy: run tools/setup (component llvm-tools)")
    raw.parent.mkdir(parents=True, exist_ok=True)
    env.run([found[0], "-O", "binary", elf, raw])
    return raw.read_bytes()


def reproducible_flags():
    """Return the rustc flags that keep this machine's paths out of the images."""
    home = pathlib.Path(os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo")
    sources = home / "registry" / "src"
    if not sources.is_dir() or not any(sources.iterdir()):
        env.run(["cargo", "fetch", "--quiet"], cwd=env.ROOT)
    version = subprocess.check_output(["rustc", "-vV"], text=True, cwd=env.ROOT)
    commit = next(line.split()[1] for line in version.splitlines() if line.startswith("commit-hash"))
    remaps = [(env.ROOT, "/hematite"), (sysroot() / "lib/rustlib/src/rust", f"/rustc/{commit}")]
    if sources.is_dir():
        remaps += [(registry, "/registry") for registry in sorted(sources.iterdir())]
    return [f"--remap-path-prefix={old}={new}" for old, new in remaps]


def cargo_build(target, packages, arguments=(), output=env.TARGET, settings=None, flags=()):
    """Build packages for a bare-metal target in the release profile; return the folder of the executables."""
    flags = ",".join(f'"{flag}"' for flag in (*reproducible_flags(), *flags))
    words = ["cargo", "build", "--release", "--target", target, "--config", f"target.{target}.rustflags=[{flags}]"]
    words += [word for package in packages for word in ("--package", package)] + list(arguments)
    environment = {k: v for k, v in os.environ.items() if k not in ("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "HEMATITE_PROVISIONING")}
    environment["CARGO_TARGET_DIR"] = str(output)
    environment["SOURCE_DATE_EPOCH"] = "0"
    environment.update(settings or {})
    words += ["--quiet", "--color", "always" if sys.stderr.isatty() else "never"]
    result = subprocess.run(words, cwd=env.ROOT, env=environment, stderr=subprocess.PIPE, text=True, errors="replace")
    sys.stderr.write(EXPECTED_WARNING.sub("", result.stderr))
    if result.returncode != 0:
        env.die(f"building {', '.join(packages)} failed")
    return output / target / "release"


def manifest_uuid(blob):
    """Return the UUID that TF-A's sptool derives from a manifest's first `uuid`: each cell byte-swapped."""
    raw = fdt.root_properties(blob).get("uuid", b"")[:16]
    if len(raw) != 16:
        raise ValueError("no uuid of four cells")
    return uuid.UUID(bytes=struct.pack("<4I", *struct.unpack(">4I", raw)))


def find_partitions(root=env.ROOT / "sp", names=None):
    """Find the partitions (all, or the named ones), in the order of their ids."""
    found = []
    for source in sorted(root.glob("*/manifest.dts")):
        folder = source.parent
        cargo = tomllib.loads((folder / "Cargo.toml").read_text())
        options = cargo.get("package", {}).get("metadata", {}).get("hematite", {})
        if names is None and (options.get("built-in", False) or not options.get("default", True)):
            continue
        if names is not None and folder.name not in names:
            continue
        blob = fdt.compile_source(source, env.FIRMWARE / f"{folder.name}.dtb", [folder])
        properties = fdt.root_properties(blob)
        try:
            found.append(
                Partition(
                    name=folder.name,
                    folder=folder,
                    package=cargo["package"]["name"],
                    target=options.get("target", PARTITION_TARGET),
                    mem_size=options.get("mem-size", DEFAULT_MEM_SIZE),
                    blob=blob,
                    load_address=fdt.number(properties["load-address"]),
                    contexts=fdt.number(properties["execution-ctx-count"]),
                    uuid=manifest_uuid(blob),
                )
            )
        except (KeyError, ValueError) as error:
            env.die(f"{source}: {error} is missing or wrong")
    missing = set(names or ()) - {partition.name for partition in found}
    if missing:
        env.die(f"no such partition: {', '.join(sorted(missing))}")
    rank = {name: index for index, name in enumerate(FIRST_PARTITIONS)}
    return sorted(found, key=lambda partition: (rank.get(partition.name, len(rank)), partition.name))


def build_spmc(built_in=(), output=env.TARGET, into=env.FIRMWARE):
    """Build the SPMC; return the raw BL32 image, left as hematite.bin, or hematite-core.bin without built-in partitions."""
    # The two are built apart, and from what else has this target: going from one to the other would build each anew.
    output, name = (output / "spmc", "hematite.bin") if built_in else (output / "core", "hematite-core.bin")
    packages = [f"{item.name}={env.FIRMWARE / item.name}.pkg:{item.mem_size}" for item in built_in]
    settings = {"HEMATITE_BUILT_IN": ",".join(packages), **SPMC_SETTINGS}
    folder = cargo_build(SPMC_TARGET, ["hematite"], SPMC_LIBRARIES, output, settings, SPMC_FLAGS)
    return objcopy(folder / "hematite", into / name)


def provisioning():
    """Return the settings for a provisioning key of the builder's own: the file that HEMATITE_PROVISIONING_KEY names."""
    path = os.environ.get("HEMATITE_PROVISIONING_KEY")
    if not path:
        return {}
    try:
        key = pathlib.Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        env.die(f"HEMATITE_PROVISIONING_KEY: {error}")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", key):
        env.die(f"HEMATITE_PROVISIONING_KEY: {path} is not the 64 hexadecimal digits of a public key")
    return {"HEMATITE_PROVISIONING": key}


def build_partitions(partitions):
    """Build the partitions and their packages (left as <name>.pkg)."""
    for target in sorted({partition.target for partition in partitions}):
        group = [partition for partition in partitions if partition.target == target]
        folder = cargo_build(target, [partition.package for partition in group], ["--bins"], settings=provisioning())
        for partition in group:
            image = objcopy(folder / partition.package, env.FIRMWARE / f"{partition.name}.bin")
            partition.package_bytes = fip.pack_partition(partition.blob, image)
            if len(partition.package_bytes) > partition.mem_size:
                env.die(f"{partition.name} has {len(partition.package_bytes)} bytes, its mem-size is {partition.mem_size}")
            env.write_if_changed(env.FIRMWARE / f"{partition.name}.pkg", partition.package_bytes)


def find_built_in(root=env.ROOT / "sp"):
    """Name the partitions that the SPMC's image carries."""
    settings = {path.parent.name: tomllib.loads(path.read_text()) for path in sorted(root.glob("*/Cargo.toml"))}
    metadata = {name: cargo.get("package", {}).get("metadata", {}) for name, cargo in settings.items()}
    return [name for name, values in metadata.items() if values.get("hematite", {}).get("built-in", False)]


def build_bl33(name="tests"):
    """Build the BL33 image with one of its executables; return the raw image, left as bl33-<name>.bin."""
    folder = cargo_build(BL33_TARGET, ["bl33-tests"], ["--bin", name])
    return objcopy(folder / name, env.FIRMWARE / f"bl33-{name}.bin")


def build_floor():
    """Assemble the stub BL32 that the bench measures against; return its raw image.

    It is as long as the SPMC's where that is built already: TF-A copies a package slower or faster by how it is aligned
    in the flash image, so the boots compare only where the layouts are the same.
    """
    source, elf = env.ROOT / "tools/floor/floor.S", env.FIRMWARE / "floor.elf"
    elf.parent.mkdir(parents=True, exist_ok=True)
    base = f"-Ttext=0x{manifest.SPMC_LOAD_ADDRESS:x}"
    env.run([f"{env.CROSS}gcc", "-nostdlib", "-static", "-Wl,--build-id=none", base, "-o", elf, source])
    spmc = env.FIRMWARE / "hematite-core.bin"
    return objcopy(elf, env.FIRMWARE / "floor.bin").ljust(spmc.stat().st_size if spmc.exists() else 0, b"\0")


def pack(bl32, bl33, partitions, flash=env.FIRMWARE / "flash.bin", cpus=CPUS, flavour="default", spmc_manifest=None, quiet=False):
    """Pack a flash image. `bl33` is None where QEMU loads the kernel; `spmc_manifest` replaces the generated .dts, in which
    `quiet` asks for a quiet boot."""
    built = tfa.build(flavour)
    work = flash.parent
    if spmc_manifest is None:
        source = manifest.spmc_source(partitions, cpus, flavour, quiet)
        spmc_manifest = env.write_if_changed(work / f"{flash.stem}-spmc.dts", source)
    tos_fw_config = fdt.compile_source(spmc_manifest, work / f"{flash.stem}-spmc.dtb")
    if len(tos_fw_config) > manifest.SPMC_MANIFEST_LIMIT:
        env.die(f"the SPMC's manifest has {len(tos_fw_config)} bytes; TF-A takes {manifest.SPMC_MANIFEST_LIMIT}")
    source = env.write_if_changed(work / f"{flash.stem}-tb_fw_config.dts", manifest.tb_fw_config_source(partitions))
    tb_fw_config = fdt.compile_source(source, work / f"{flash.stem}-tb_fw_config.dtb")
    images = [
        ("tb_fw_config", tb_fw_config),
        ("bl2", (built / "bl2.bin").read_bytes()),
        ("bl31", (built / "bl31.bin").read_bytes()),
        ("bl32", bl32),
        ("tos_fw_config", tos_fw_config),
    ]
    if flavour == "rme":
        images.append(("rmm", (built / "rmm.bin").read_bytes()))
    images += [(str(partition.uuid), partition.package_bytes) for partition in partitions]
    if bl33 is not None:
        images.append(("bl33", bl33))
    flash.write_bytes(fip.pack_flash((built / "bl1.bin").read_bytes(), fip.pack_fip(images)))
    return flash


def firmware(bl32="hematite", bl33="tests", names=None, **packing):
    """Build everything and pack a flash image; return its path.

    `bl32`: hematite, floor (the stub, for which the partitions are loaded and never run) or a raw image's path. `bl33`: an executable of
    bl33-tests, a raw image's path, or none. `names`: the partitions that are packed beside an SPMC without built-in ones (None: all
    that are packed by default, and the SPMC carries the built-in ones).
    """
    env.FIRMWARE.mkdir(parents=True, exist_ok=True)
    packing.get("flash", env.FIRMWARE).parent.mkdir(parents=True, exist_ok=True)
    partitions = find_partitions(names=names)
    built_in = find_partitions(names=find_built_in()) if names is None and bl32 == "hematite" else []
    env.say(f"building the partitions: {', '.join(item.name for item in partitions + built_in) or 'none'}")
    build_partitions(partitions + built_in)
    if bl32 == "hematite":
        env.say("building the SPMC")
        bl32_image = build_spmc(built_in)
    else:
        bl32_image = build_floor() if bl32 == "floor" else pathlib.Path(bl32).read_bytes()
    if bl33 == "none":
        bl33_image = None
    elif "/" in str(bl33):
        bl33_image = pathlib.Path(bl33).read_bytes()
    else:
        env.say(f"building the BL33 image ({bl33})")
        bl33_image = build_bl33(bl33)
    return pack(bl32_image, bl33_image, partitions, **packing)
