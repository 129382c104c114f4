# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the commands in tools/ share."""
