# SPDX-License-Identifier: MIT OR Apache-2.0
"""A reader of flattened device trees, for the properties that packing needs."""
import struct

from . import env

BEGIN_NODE, END_NODE, PROP, NOP, END = 1, 2, 3, 4, 9


def compile_source(source, output, include=()):
    """Compile a .dts file into a .dtb file and return its bytes."""
    output.parent.mkdir(parents=True, exist_ok=True)
    words = [word for folder in include for word in ("-i", folder)]
    env.run(["dtc", "-q", "-I", "dts", "-O", "dtb", *words, "-o", output, source])
    return output.read_bytes()


def root_properties(blob):
    """Return the root node's properties of a blob that dtc made: name -> raw bytes."""
    magic, _, structure, strings = struct.unpack_from(">4I", blob)
    if magic != 0xD00DFEED:
        raise ValueError("not a flattened device tree")
    properties, depth, at = {}, 0, structure
    while True:
        (token,) = struct.unpack_from(">I", blob, at)
        at += 4
        if token == BEGIN_NODE:
            depth += 1
            at = (blob.index(b"\0", at) + 4) & ~3
        elif token == END_NODE:
            depth -= 1
        elif token == PROP:
            size, name = struct.unpack_from(">2I", blob, at)
            if depth == 1:
                start = strings + name
                properties[blob[start : blob.index(b"\0", start)].decode()] = blob[at + 8 : at + 8 + size]
            at = (at + 8 + size + 3) & ~3
        elif token == END:
            return properties
        elif token != NOP:
            raise ValueError(f"token {token} in a device tree")


def number(raw):
    """Return the value of a property of one or two cells."""
    return int.from_bytes(raw, "big")
