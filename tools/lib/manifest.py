# SPDX-License-Identifier: MIT OR Apache-2.0
"""The two device trees that describe the machine to the firmware: the SPMC's manifest and TF-A's TB_FW_CONFIG."""

SPMC_ID = 0x8000
SPMC_VERSION = (1, 1)
SPMC_LOAD_ADDRESS = 0x0E100000
SPMC_SIZE = 0x00200000
# (kind, base, size). With four worlds, the granule tables and the page of this manifest are at the end of Secure
# memory, and the realm world has 24 MiB of what else is Normal memory.
MEMORY = (("memory", 0x0E100000, 0x00F00000), ("ns-memory", 0x40000000, 0x80000000))
MEMORY_OF_FLAVOUR = {
    "rme": (
        ("memory", 0x0E100000, 0x00DFB000),
        ("ns-memory", 0x40000000, 0x00100000),
        ("ns-memory", 0x41900000, 0x7E700000),
    )
}
# The real-time clock (PL031), fw_cfg and the GPIO block (PL061), which both worlds reach; a page where nothing answers; the
# registers of three PCI cards.
DEVICES = tuple(
    ("device-memory", base, size)
    for base, size in (
        (0x09010000, 0x1000),
        (0x09020000, 0x1000),
        (0x09030000, 0x1000),
        (0x0D000000, 0x1000),
        (0x10000000, 0x30000),
    )
)
# TF-A copies the SPMC's manifest into one page.
SPMC_MANIFEST_LIMIT = 4096


def cells(value):
    """Write a 64-bit number as two cells."""
    return f"0x{value >> 32:x} 0x{value & 0xFFFFFFFF:x}"


def spmc_source(partitions, cpus, flavour="default", quiet=False):
    """Write the SPMC's manifest, in the form that TF-A and Hafnium use, for one of TF-A's flavours."""
    major, minor = SPMC_VERSION
    lines = [
        "/dts-v1/;",
        "/ {",
        '\tcompatible = "arm,ffa-core-manifest-1.0";',
        "\t#address-cells = <2>;",
        "\t#size-cells = <2>;",
        "\tattribute {",
        f"\t\tspmc_id = <0x{SPMC_ID:x}>;",
        f"\t\tmaj_ver = <{major}>;",
        f"\t\tmin_ver = <{minor}>;",
        "\t\texec_state = <0>;",
        f"\t\tload_address = <{cells(SPMC_LOAD_ADDRESS)}>;",
        f"\t\tentrypoint = <{cells(SPMC_LOAD_ADDRESS)}>;",
        f"\t\tbinary_size = <0x{SPMC_SIZE:x}>;",
        "\t};",
        "\thypervisor {",
        '\t\tcompatible = "hafnium,hafnium";',
        *(["\t\tquiet-boot;"] if quiet else []),
    ]
    for index, partition in enumerate(partitions, 1):
        lines += [
            f"\t\tvm{index} {{",
            "\t\t\tis_ffa_partition;",
            f'\t\t\tdebug_name = "{partition.name}";',
            f"\t\t\tload_address = <0x{partition.load_address:x}>;",
            f"\t\t\tvcpu_count = <{1 if partition.contexts == 1 else cpus}>;",
            f"\t\t\tmem_size = <0x{partition.mem_size:x}>;",
            "\t\t};",
        ]
    lines += ["\t};", "\tcpus {", "\t\t#address-cells = <2>;", "\t\t#size-cells = <0>;"]
    for cpu in range(cpus):
        lines += [
            f"\t\tcpu@{cpu:x} {{",
            '\t\t\tdevice_type = "cpu";',
            '\t\t\tcompatible = "arm,armv8";',
            f"\t\t\treg = <0 0x{cpu:x}>;",
            '\t\t\tenable-method = "psci";',
            "\t\t};",
        ]
    lines += ["\t};"]
    for kind, base, size in (*MEMORY_OF_FLAVOUR.get(flavour, MEMORY), *DEVICES):
        lines += [
            f"\tmemory@{base:x} {{",
            f'\t\tdevice_type = "{kind}";',
            f"\t\treg = <{cells(base)} {cells(size)}>;",
            "\t};",
        ]
    return "\n".join([*lines, "};", ""])


def tb_fw_config_source(partitions):
    """Write the list of partition packages that BL2 loads."""
    lines = ["/dts-v1/;", "/ {", "\tsecure-partitions {", '\t\tcompatible = "arm,sp";']
    for partition in partitions:
        lines += [
            f"\t\t{partition.name} {{",
            f'\t\t\tuuid = "{partition.uuid}";',
            f"\t\t\tload-address = <0x{partition.load_address:x}>;",
            '\t\t\towner = "SiP";',
            "\t\t};",
        ]
    return "\n".join([*lines, "\t};", "};", ""])
