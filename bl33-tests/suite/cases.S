// SPDX-License-Identifier: MIT OR Apache-2.0
// The canonical cases: literal numbers in, literal numbers out (DEN0077A). They run first and in this order:
// the version is negotiated before any other call settles it.

// ---- FFA_VERSION 0x84000063 ------------------------------------------------------------------------------------

case "version::bit_31_is_not_supported"
    in      0, 0x84000063
    in      1, 0x80010001
    call
    out32   0, 0xffffffff
    zeros   1, 7
endcase

case "version::0_9_is_not_supported"
    in      0, 0x84000063
    in      1, 0x00000009
    call
    out32   0, 0xffffffff
    zeros   1, 7
endcase

case "version::2_0_is_not_supported"
    in      0, 0x84000063
    in      1, 0x00020000
    call
    out32   0, 0xffffffff
    zeros   1, 7
endcase

case "version::1_0_gets_ours"
    in      0, 0x84000063
    in      1, 0x00010000
    call
    out     0, 0x00010002
    zeros   1, 7
endcase

case "version::1_3_gets_ours"
    in      0, 0x84000063
    in      1, 0x00010003
    call
    out     0, 0x00010002
    zeros   1, 7
endcase

case "version::1_1_gets_ours"
    in      0, 0x84000063
    in      1, 0x00010001
    call
    out     0, 0x00010002
    zeros   1, 7
endcase

// The last before another call: the one that counts.
case "version::1_2_gets_ours"
    in      0, 0x84000063
    in      1, 0x00010002
    call
    out     0, 0x00010002
    zeros   1, 7
endcase

// ---- FFA_FEATURES 0x84000064 -----------------------------------------------------------------------------------

case "features::direct_req32"
    in      0, 0x84000064
    in      1, 0x8400006f
    call
    out_success
endcase

case "features::rxtx_map64_4k_to_16_pages"
    in      0, 0x84000064
    in      1, 0xc4000066
    call
    out_success 0x00100000              // bits 1:0: 4 KiB; bits 31:16: at most 16 pages
endcase

case "features::direct_req2"
    in      0, 0x84000064
    in      1, 0xc400008d
    call
    out_success
endcase

case "features::unknown_function"
    in      0, 0x84000064
    in      1, 0x840000fe
    call
    out_error 0xffffffff                // NOT_SUPPORTED
endcase

case "features::not_ffa"
    in      0, 0x84000064
    in      1, 0x84000003               // PSCI CPU_ON
    call
    out_error 0xffffffff                // NOT_SUPPORTED
endcase

case "features::no_id_0"
    in      0, 0x84000064
    call
    out_error 0xffffffff                // NOT_SUPPORTED
endcase

// ---- FFA_VERSION once settled ----------------------------------------------------------------------------------

case "version::settled_1_2_again"
    in      0, 0x84000063
    in      1, 0x00010002
    call
    out     0, 0x00010002
    zeros   1, 7
endcase

case "version::settled_no_way_back"
    in      0, 0x84000063
    in      1, 0x00010001
    call
    out32   0, 0xffffffff
    zeros   1, 7
endcase

// ---- FFA_ID_GET 0x84000069, FFA_SPM_ID_GET 0x84000085 ----------------------------------------------------------

case "abi::id_get"
    in      0, 0x84000069
    call
    out_success 0
endcase

case "abi::spm_id_get"
    in      0, 0x84000085
    call
    out_success 0x8000
endcase

// ---- FFA_RXTX_MAP, FFA_RXTX_UNMAP, FFA_PARTITION_INFO_GET, FFA_RX_RELEASE --------------------------------------

case "abi::partition_info_get_without_a_buffer"
    in      0, 0x84000068
    call
    out_error 0xfffffffc                // BUSY
endcase

case "abi::rxtx_map64_then_unmap"
    in      0, 0xc4000066
    in      1, 0x70001000               // TX
    in      2, 0x70000000               // RX
    in      3, 1                        // page
    call
    out_success
    in      0, 0xc4000066               // twice
    in      1, 0x70001000
    in      2, 0x70000000
    in      3, 1
    call
    out_error 0xfffffffa                // DENIED
    in      0, 0x84000067
    call
    out_success
    in      0, 0x84000067               // twice
    call
    out_error 0xfffffffe                // INVALID_PARAMETERS
endcase

case "abi::rxtx_map32_then_unmap"
    in      0, 0x84000066
    in      1, 0x70001000
    in      2, 0x70000000
    in      3, 1
    call
    out_success
    in      0, 0x84000067
    call
    out_success
endcase

case "abi::partition_info_get"
    in      0, 0xc4000066
    in      1, 0x70001000
    in      2, 0x70000000
    in      3, 1
    call
    out_success
    in      0, 0x84000068               // how many
    in      5, 1
    call
    out     0, 0x84000061
    out     1, 0
    zeros   3, 7
    in      0, 0x84000068               // all of them
    call
    out     0, 0x84000061
    out     1, 0
    out     3, 24                       // bytes in a descriptor
    zeros   4, 7
    word    0x70000000, 0x00018001      // id 0x8001, one execution context
    in      0, 0x84000068               // before the release
    call
    out_error 0xfffffffc                // BUSY
    in      0, 0x84000065
    call
    out_success
    in      0, 0x84000065               // twice
    call
    out_error 0xfffffffa                // DENIED
    in      0, 0x84000067
    call
    out_success
endcase

// ---- FFA_RUN 0x8400006d ----------------------------------------------------------------------------------------

case "abi::run_echo_waits_again"
    in      0, 0x8400006d
    in      1, 0x80010000               // 0x8001, context 0
    call
    out     0, 0x8400006b               // FFA_MSG_WAIT
endcase

case "abi::run_of_a_stranger"
    in      0, 0x8400006d
    in      1, 0x9abc0000
    call
    out_error 0xfffffffe                // INVALID_PARAMETERS
endcase

// ---- FFA_MSG_SEND_DIRECT_REQ 0x8400006f, 0xc400006f ------------------------------------------------------------

case "abi::direct_req32_echo"
    in      0, 0x8400006f
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

case "abi::direct_req64_echo"
    in      0, 0xc400006f
    in      1, 0x00008001
    in      3, 0x3333333333333333
    in      4, 0x000000000000bbbb
    in      5, 0x5555555555555555
    in      6, 0x6666666666666666
    in      7, 0xf777777777777777
    call
    out     0, 0xc4000070               // FFA_MSG_SEND_DIRECT_RESP, SMC64
    out     1, 0x80010000
    out     2, 0
    out     3, 0x3333333333333333
    out     4, 0x000000000000cbbb
    out     5, 0x5555555555555555
    out     6, 0x6666666666666666
    out     7, 0xf777777777777777
endcase

// SMC32: the upper halves are not part of the call.
case "abi::direct_req32_dirty_upper_halves"
    in      0, 0x8400006f
    in      1, 0xdeadbeef00008001
    in      2, 0xdeadbeef00000000
    in      3, 0xdeadbeef33333333
    in      4, 0xdeadbeef0000bbbb
    in      5, 0xdeadbeef55555555
    in      6, 0xdeadbeef66666666
    in      7, 0xdeadbeef77777777
    call
    out32   0, 0x84000070
    out32   1, 0x80010000
    out32   2, 0
    out32   3, 0x33333333
    out32   4, 0x0000cbbb
    out32   5, 0x55555555
    out32   6, 0x66666666
    out32   7, 0x77777777
endcase

// A hypervisor sends for its VMs: the answer goes to the VM.
case "abi::direct_req64_for_a_vm"
    in      0, 0xc400006f
    in      1, 0x00058001               // from VM 5
    in      4, 0xbbbb
    call
    out     0, 0xc4000070
    out     1, 0x80010005
    out     4, 0xcbbb
endcase

case "abi::direct_req_to_nobody"
    in      0, 0x8400006f
    in      1, 0x00009abc
    call
    out_error 0xfffffffe                // INVALID_PARAMETERS
endcase

case "abi::direct_req_from_a_secure_id"
    in      0, 0x8400006f
    in      1, 0x80028001
    call
    out_error 0xfffffffe                // INVALID_PARAMETERS
endcase

case "abi::direct_req_reserved_w2"
    in      0, 0x8400006f
    in      1, 0x00008001
    in      2, 0x00000100
    call
    out_error 0xfffffffe                // INVALID_PARAMETERS
endcase

case "abi::direct_req_framework_bit"
    in      0, 0x8400006f
    in      1, 0x00008001
    in      2, 0x80000000
    call
    out_error 0xfffffffe                // INVALID_PARAMETERS
endcase

// ---- FFA_NOTIFICATION_* 0x8400007d-0x84000083, FFA_MSG_SEND2 0x84000086 ----------------------------------------

case "abi::schedule_receiver_interrupt_is_8"
    in      0, 0x84000064
    in      1, 2
    call
    out_success 8
endcase

case "abi::notification_bitmap_of_0_vcpus"
    in      0, 0x8400007d
    in      1, 0                        // VM 0
    in      2, 0
    call
    out_error 0xfffffffe                // INVALID_PARAMETERS
endcase

case "abi::notification_bitmap_of_65535_vcpus"
    in      0, 0x8400007d
    in      1, 0
    in      2, 65535
    call
    out_error 0xfffffffe                // INVALID_PARAMETERS
endcase

case "abi::notification_calls_without_a_bitmap"
    in      0, 0x8400007f               // bind
    in      1, 0x80020000               // sender 0x8002, receiver 0
    in      3, 1
    call
    out_error 0xfffffffe                // INVALID_PARAMETERS
    in      0, 0x84000082               // get
    in      2, 1
    call
    out_error 0xfffffffe                // INVALID_PARAMETERS
    in      0, 0x8400007e               // destroy
    call
    out_error 0xfffffffe                // INVALID_PARAMETERS
    in      0, 0xc4000083               // info
    call
    out_error 0xfffffff7                // NO_DATA
endcase

case "abi::notification_bit_63"
    in      0, 0x8400007d               // create
    in      1, 0
    in      2, 4
    call
    out_success
    in      0, 0x8400007d               // twice
    in      2, 4
    call
    out_error 0xfffffffa                // DENIED
    in      0, 0x8400007f               // bind
    in      1, 0x80020000               // sender 0x8002, receiver 0
    in      4, 0x80000000
    call
    out_success
    in      0, 0x8400007f               // to another sender
    in      1, 0x80030000
    in      4, 0x80000000
    call
    out_error 0xfffffffa                // DENIED
    in      0, 0x84000082               // get: nothing yet
    in      2, 3
    call
    out_success
    in      0, 0x84000080               // unbind
    in      1, 0x80020000
    in      4, 0x80000000
    call
    out_success
    in      0, 0x84000080               // twice
    in      1, 0x80020000
    in      4, 0x80000000
    call
    out_error 0xfffffffa                // DENIED
    in      0, 0x8400007e               // destroy
    call
    out_success
endcase

case "abi::notification_set_on_unbound"
    in      0, 0x84000081
    in      1, 0x00008002               // sender 0, receiver 0x8002
    in      3, 1
    call
    out_error 0xfffffffa                // DENIED
endcase

case "abi::msg_send2_without_buffers"
    in      0, 0x84000086
    call
    out_error 0xfffffffe                // INVALID_PARAMETERS
endcase

// ---- Calls that the Normal world may not make ------------------------------------------------------------------

case "hostile::msg_wait"
    in      0, 0x8400006b
    call
    out_error 0xffffffff                // NOT_SUPPORTED
endcase

case "hostile::yield"
    in      0, 0x8400006c
    call
    out_error 0xffffffff                // NOT_SUPPORTED
endcase

case "hostile::interrupt"
    in      0, 0x84000062
    call
    out_error 0xffffffff                // NOT_SUPPORTED
endcase

case "hostile::normal_world_resume"
    in      0, 0x8400007c
    call
    out_error 0xfffffffa                // DENIED
endcase

case "hostile::secondary_ep_register"
    in      0, 0xc4000087
    in      1, 0x0e100000
    call
    out_error 0xffffffff                // NOT_SUPPORTED
endcase

case "hostile::console_log"
    in      0, 0x8400008a
    in      1, 4
    in      2, 0x64636261
    call
    out_error 0xffffffff                // NOT_SUPPORTED
endcase

case "hostile::unused_function_id_6a"
    in      0, 0x8400006a
    call
    out_error 0xffffffff                // NOT_SUPPORTED
endcase
