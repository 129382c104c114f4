# SPDX-License-Identifier: MIT OR Apache-2.0
"""The containers, against what TF-A's readers expect of them."""
import pathlib
import struct
import tempfile
import types
import unittest
import uuid

from lib import fdt, fip, image, manifest

SOURCE = """/dts-v1/;
/ {
	compatible = "arm,ffa-manifest-1.0";
	uuid = <0xb4b5671e 0x4a904fe1 0xb81ffb13 0xdae1dacb>;
	load-address = <0x0e300000>;
	execution-ctx-count = <8>;
	child { load-address = <1>; };
};
"""


def compiled(text):
    """Compile a device tree."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "a.dts")
        source.write_text(text)
        return fdt.compile_source(source, pathlib.Path(folder, "a.dtb"))


class Packing(unittest.TestCase):
    """One test per container."""

    def test_fip(self):
        name = "1e67b5b4-e14f-904a-13fb-1fb8cbdae1da"
        packed = fip.pack_fip([("bl32", b"BL32"), (name, b"package")])
        self.assertEqual(struct.unpack_from("<II", packed), (0xAA640001, 0x12345678))
        entries = [struct.unpack_from("<16sQQQ", packed, 16 + 40 * index) for index in range(3)]
        self.assertEqual([packed[start : start + size] for _, start, size, _ in entries], [b"BL32", b"package", b""])
        self.assertEqual(entries[1][0], uuid.UUID(name).bytes)
        self.assertEqual(entries[2][0], bytes(16))
        self.assertEqual(entries[2][1], len(packed))

    def test_package(self):
        packed = fip.pack_partition(b"tree", b"image")
        magic, version, tree, tree_size, code, code_size = struct.unpack_from("<6I", packed)
        self.assertEqual((magic, version), (0x474B5053, 2))
        self.assertEqual(packed[tree : tree + tree_size], b"tree")
        self.assertEqual(packed[code : code + code_size], b"image")
        self.assertEqual((tree % 4096, code % 4096), (0, 0))

    def test_package_refuses_a_large_manifest(self):
        with self.assertRaises(ValueError):
            fip.pack_partition(bytes(0x3001), b"image")

    def test_flash(self):
        packed = fip.pack_flash(b"BL1", b"package")
        self.assertEqual((packed[:3], packed[0x40000:]), (b"BL1", b"package"))
        with self.assertRaises(ValueError):
            fip.pack_flash(bytes(0x40001), b"")

    def test_properties(self):
        properties = fdt.root_properties(compiled(SOURCE))
        self.assertEqual(fdt.number(properties["load-address"]), 0x0E300000)
        self.assertEqual(fdt.number(properties["execution-ctx-count"]), 8)

    def test_uuid(self):
        # sptool reads each cell's digits in the opposite order.
        self.assertEqual(str(image.manifest_uuid(compiled(SOURCE))), "1e67b5b4-e14f-904a-13fb-1fb8cbdae1da")

    def test_spmc_manifest_fits_its_page(self):
        partitions = [
            types.SimpleNamespace(name=f"partition-{n}", load_address=0x0E300000, contexts=n, mem_size=0x100000)
            for n in range(1, 9)
        ]
        blob = compiled(manifest.spmc_source(partitions, image.CPUS))
        self.assertLessEqual(len(blob), manifest.SPMC_MANIFEST_LIMIT)
        self.assertEqual(fdt.root_properties(blob)["compatible"], b"arm,ffa-core-manifest-1.0\0")


if __name__ == "__main__":
    unittest.main()
