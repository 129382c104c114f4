# SPDX-License-Identifier: MIT OR Apache-2.0
"""The containers that TF-A reads: the firmware image package, the partition package, the flash image."""
import struct
import uuid

FIP_MAGIC = 0xAA640001
FIP_SERIAL = 0x12345678
FIP_HEADER = struct.Struct("<IIQ")
FIP_ENTRY = struct.Struct("<16sQQQ")
# Each image's name in TF-A's include/tools_share/firmware_image_package.h, by our name for it.
FIP_UUIDS = {
    "bl2": "5ff9ec0b-4d22-3e4d-a544-c39d81c73f0a",
    "bl31": "47d4086d-4cfe-9846-9b95-2950cbbd5a00",
    "bl32": "05d0e189-53dc-1347-8d2b-500a4b7a3e38",
    "bl33": "d6d0eea7-fcea-d54b-9782-9934f234b6e4",
    "rmm": "6c0762a6-12f2-4b56-92cb-ba8f633606d9",
    "tb_fw_config": "6c0458ff-af6b-7d4f-82ed-aa27bc69bfd2",
    "tos_fw_config": "26257c1a-dbc6-7f47-8d96-c4c4b0248021",
}
FLASH_FIP_OFFSET = 256 * 1024

SPKG_HEADER = struct.Struct("<4s5I")
SPKG_MANIFEST_OFFSET = 0x1000
# The page offset of the image, as sptool and Hafnium have it.
SPKG_IMAGE_OFFSET = 0x4000


def pack_fip(images):
    """Pack a firmware image package from (name or UUID, contents) pairs."""
    offset = FIP_HEADER.size + FIP_ENTRY.size * (len(images) + 1)
    table, body = FIP_HEADER.pack(FIP_MAGIC, FIP_SERIAL, 0), b""
    for name, data in images:
        table += FIP_ENTRY.pack(uuid.UUID(FIP_UUIDS.get(name, name)).bytes, offset + len(body), len(data), 0)
        body += data
    return table + FIP_ENTRY.pack(bytes(16), offset + len(body), 0, 0) + body


def pack_flash(bl1, fip):
    """Pack the flash image that QEMU boots: BL1 at its start, the package at 256 KiB."""
    if len(bl1) > FLASH_FIP_OFFSET:
        raise ValueError(f"BL1 has {len(bl1)} bytes, more than {FLASH_FIP_OFFSET}")
    return bl1.ljust(FLASH_FIP_OFFSET, b"\0") + fip


def pack_partition(manifest, image):
    """Pack a partition package, version 2: header, manifest at 0x1000, image at 0x4000."""
    if len(manifest) > SPKG_IMAGE_OFFSET - SPKG_MANIFEST_OFFSET:
        raise ValueError(f"the manifest has {len(manifest)} bytes, more than fit before the image")
    header = SPKG_HEADER.pack(b"SPKG", 2, SPKG_MANIFEST_OFFSET, len(manifest), SPKG_IMAGE_OFFSET, len(image))
    return (header.ljust(SPKG_MANIFEST_OFFSET, b"\0") + manifest).ljust(SPKG_IMAGE_OFFSET, b"\0") + image
