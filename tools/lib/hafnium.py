# SPDX-License-Identifier: MIT OR Apache-2.0
"""What Hafnium takes for the same operations on the same chain: instructions, the floor not subtracted.

Commit 21bfbdc1, stock, QEMU virt, `-smp 1 -icount shift=0`, the same TF-A. Operations by the names of the bench image.
"""

INSTRUCTIONS = {
    "boot": 2_277_696,
    "version": 4_298,
    "features": 3_245,
    "partition_info_get": 32_502,
    "direct_req": 8_785,
    "chain": 16_304,
    "sp_direct_req": 7_507,
    "sp_id_get": 774,
    "sp_version": 1_479,
    "share_1": 158_440,
    "reclaim_1": 180_618,
    "sp_retrieve_1": 230_411,
    "sp_relinquish_1": 246_848,
    "share_256": 228_055,
    "reclaim_256": 246_918,
    "sp_retrieve_256": 281_666,
    "sp_relinquish_256": 296_573,
    "share_256_ranges": 1_872_047,
    "msg_send2": 17_594,
    "notification_set": 4_740,
    "notification_get": 3_867,
}
IMAGE_BYTES = 223 * 1024
BSS_BYTES = 1020 * 1024
SPAN_BYTES = 1280 * 1024
