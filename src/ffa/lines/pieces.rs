// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pieces of text that packed lines are made of, chosen by `tools/pieces`.

/// Each ends with a bar: the frequent first, longer ones behind the two that they are made of.
#[rustfmt::skip]
pub const PIECES: &str = concat!(
    "s |e |th|er|the |t |no|or|is |ti|re|on|in|ed|al|en|es|er |an|ar|as |a |no |not |tion|y |all|RE|call|ed |or |ag|",
    "EL|ff|is|ow|TI|d |o |tion |, |has |it|me|fi|_EL|bu|ce|the call|_EL2|buff|ch|is not |RX|_RE|mor|ou|par|es |end|",
    "ip|ind|su|tr|ac|memor|parti|se| the |'s |ME|R_EL2|SE|indow|its |ma|op|this |window|ON|at|age |ch |ess|ver|MEM|",
    "NO|TE|as|ation |au|des|le|of|ND|el|memory |open|qu|rea|ter|was | buff|G_|at |cei|ing|mess|po|recei|such |to |",
    " f|FI|MS|ON_|TION_|_D|an |are |di|noth|no such |res|si|the caller|the caller |tifi|CP|CT|GE|IN|MSG_|RX buff|ab|",
    "aul|ault|cip|cipan|est|lis|lo|m |notifi|notific|participan|poin|requ|st|wh|wi|AR|ATION_|CATION_|FICATION_|GET|",
    "ID|IRE|MSG_SE|MSG_SEND|",
);
