// SPDX-License-Identifier: MIT OR Apache-2.0
// The canonical cases: literal numbers in, literal numbers out (DEN0077A).

case "abi::direct_req32_echo"
    in      0, 0x8400006f               // FFA_MSG_SEND_DIRECT_REQ, SMC32
    in      1, 0x00008001               // from 0 to 0x8001
    in      3, 0x33333333
    in      4, 0x0000bbbb
    in      5, 0x55555555
    in      6, 0x66666666
    in      7, 0x77777777
    call
    out     0, 0x84000070               // FFA_MSG_SEND_DIRECT_RESP, SMC32
    out     1, 0x80010000               // from 0x8001 to 0
    out     2, 0
    out     3, 0x33333333
    out     4, 0x0000cbbb
    out     5, 0x55555555
    out     6, 0x66666666
    out     7, 0x77777777
endcase
