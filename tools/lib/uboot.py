# SPDX-License-Identifier: MIT OR Apache-2.0
"""U-Boot from Debian's source as a Normal world that negotiates FF-A v1.0, built once, kept in the cache."""
import os
import pathlib
import shutil
import tempfile

from . import env, linux

# On top of qemu_arm64_defconfig. It boots where TF-A enters BL33, and does by itself what the test wants to see.
OPTIONS = """\
CONFIG_TEXT_BASE=0x60000000
CONFIG_ARM_FFA_TRANSPORT=y
CONFIG_CMD_ARMFFA=y
# CONFIG_TOOLS_MKEFICAPSULE is not set
CONFIG_BOOTDELAY=0
CONFIG_USE_BOOTCOMMAND=y
CONFIG_BOOTCOMMAND="{command}"
"""
COMMAND = "armffa devlist; armffa getpart {uuid}; armffa ping 0x8001; echo uboot: done; poweroff"
# echo's d1f249e7-9121-48df-a79f-0a9069e16bee: U-Boot (uuid_str_to_le_bin) swaps the bytes within each group.
ECHO_UUID = "e749f2d1-2191-df48-9fa7-ee6be169900a"


def binary():
    """Return the path of u-boot.bin, building it where it is not in the cache."""
    options = OPTIONS.format(command=COMMAND.format(uuid=ECHO_UUID))

    def make(folder):
        tarballs = linux.fetch("uboot")
        env.say("building U-Boot")
        tree = linux.build_tree()
        work = pathlib.Path(tempfile.mkdtemp(prefix="uboot-", dir=tree / "work"))
        try:
            for tarball in tarballs:
                strip = ["--strip-components=1"] if ".orig." in tarball.name else []
                env.run(["tar", "-C", work, *strip, "-xf", tarball])
            for line in (work / "debian/patches/series").read_text().splitlines():
                if name := line.split("#")[0].strip():
                    env.run(["patch", "-d", work, "-p1", "-s", "-i", work / "debian/patches" / name])
            words = ["make", "-C", f"/{work.relative_to(tree)}", f"-j{os.cpu_count()}", "HOSTCC=gcc"]
            words.append("CROSS_COMPILE=aarch64-linux-gnu-")
            linux.chroot(*words, "qemu_arm64_defconfig")
            with open(work / ".config", "a") as config:
                config.write(options)
            linux.chroot(*words, "olddefconfig")
            linux.chroot(*words, "u-boot.bin")
            shutil.copy(work / "u-boot.bin", folder)
        finally:
            shutil.rmtree(work)

    inputs = ([words for words in linux.lock() if words[0] == "uboot"], options)
    return linux.cached("uboot", inputs, make) / "u-boot.bin"
