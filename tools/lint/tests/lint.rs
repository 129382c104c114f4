// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs the linter as a person does: on files, by its exit status and its words.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

const SPMC: &str = include_str!("../../../src/spmc/manifest/tests/fixtures/spmc.dts");
const PERCPU: &str = include_str!("../../../src/spmc/manifest/tests/fixtures/partition-1.0.dts");
const ECHO: &str = include_str!("../../../src/spmc/manifest/tests/fixtures/partition-1.1.dts");
const LIST: &str = r#"/dts-v1/;
/ { secure-partitions { compatible = "arm,sp";
	echo { uuid = "b4b5671e-4a90-4fe1-b81f-fb13dae1dacb"; load-address = <0xe300000>; owner = "SiP"; };
}; };"#;

/// A folder of inputs that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("lint-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The two partitions and the SPMC manifest that starts them.
    fn platform() -> Self {
        let folder = Self::new();
        folder.write("spmc.dts", SPMC);
        folder.write("echo.dts", edit(ECHO, "ffa-version", "load-address = <0xe300000>; ffa-version"));
        folder.write("percpu.dts", PERCPU);
        folder
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.0.join(name)).unwrap();
        self.write(name, edit(&text, from, to));
    }

    fn blob(&self, name: &str) -> Vec<u8> {
        let output = Command::new("dtc").args(["-q", "-O", "dtb"]).arg(self.0.join(name)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn lint(&self, names: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_lint")).current_dir(&self.0).args(names).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    #[track_caller]
    fn finds(&self, names: &[&str], status: i32, words: &str) {
        let (found, text) = self.lint(names);
        assert!(found == status && text.contains(words), "status {found}, expected {status} and {words:?} in:\n{text}");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays is only litter.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn edit(source: &str, from: &str, to: &str) -> String {
    assert_eq!(source.matches(from).count(), 1, "{from:?} is not in the source exactly once");
    source.replace(from, to)
}

/// Packs a version 2 package.
fn package(manifest: &[u8], image: usize) -> Vec<u8> {
    let mut out = vec![0; 0x4000 + image];
    let words = [0x474b_5053, 2, 0x1000, manifest.len() as u32, 0x4000, image as u32];
    let header: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    out[..24].copy_from_slice(&header);
    out[0x1000..0x1000 + manifest.len()].copy_from_slice(manifest);
    out
}

/// Packs a FIP behind a BL1 of nothing.
fn flash(images: &[(u128, Vec<u8>)]) -> Vec<u8> {
    let mut table: Vec<u8> = [0xaa64_0001_u32, 0x1234_5678, 0, 0].iter().flat_map(|w| w.to_le_bytes()).collect();
    let mut at = 16 + 40 * (images.len() + 1);
    for (uuid, image) in images {
        table.extend(uuid.to_be_bytes());
        table.extend([at as u64, image.len() as u64, 0].iter().flat_map(|w| w.to_le_bytes()));
        at += image.len();
    }
    table.extend([0; 40]);
    table.extend(images.iter().flat_map(|(_, image)| image));
    let mut out = vec![0; 256 * 1024];
    out.extend(table);
    out
}

const TOS_FW_CONFIG: u128 = 0x26257c1adbc67f478d96c4c4b0248021;
const TB_FW_CONFIG: u128 = 0x6c0458ffaf6b7d4f82edaa27bc69bfd2;
const BL32: u128 = 0x05d0e18953dc13478d2b500a4b7a3e38;
const ECHO_PACKAGE: u128 = 0xb4b5671e4a904fe1b81ffb13dae1dacb;

const ALL: &[&str] = &["spmc.dts", "echo.dts", "percpu.dts"];

#[test]
fn a_good_platform_passes_and_is_described() {
    let folder = Folder::platform();
    folder.finds(
        ALL,
        0,
        "0x8010 'percpu' 0xe400000-0xe4fffff, 4 execution context(s), 486178e0-e7f8-11e3-bc5e-0002a5d5c51b",
    );
    folder.finds(ALL, 0, "warning: percpu.dts: partition manifest: vendor,colour is not known and has no effect");
    let (status, text) = folder.lint(&["--quiet", "spmc.dts", "echo.dts", "percpu.dts"]);
    assert_eq!((status, text.as_str()), (0, ""));
    folder.write("compiled.dtb", folder.blob("spmc.dts"));
    folder.finds(&["compiled.dtb", "echo.dts", "percpu.dts"], 0, "0 errors");
    folder.finds(&["echo.dts"], 0, "0 errors");
}

#[test]
fn what_the_firmware_refuses_is_an_error_with_its_words() {
    let folder = Folder::platform();
    folder.edit("spmc.dts", "binary_size = <0x200000>;", "binary_size = <0x0 0x200000>;");
    folder.finds(ALL, 1, "error: spmc.dts: SPMC manifest: /attribute: binary_size has 8 bytes, expected one cell");
    let folder = Folder::platform();
    folder.edit("spmc.dts", "min_ver = <1>;", "min_ver = <3>;");
    folder.finds(ALL, 1, "min_ver is 0x3");
    let folder = Folder::platform();
    folder.edit("percpu.dts", "exclusive-access;", "stream-ids = <1>;");
    folder.finds(ALL, 1, "error: percpu.dts: partition manifest: /device-regions/uart1: stream-ids is not supported");
    let folder = Folder::platform();
    folder.edit("spmc.dts", "load_address = <0x0 0xe400000>;", "load_address = <0x0 0xe380000>;");
    folder.edit("percpu.dts", "load-address = <0x0 0xe400000>;", "load-address = <0x0 0xe380000>;");
    folder.finds(ALL, 1, "overlaps 'echo' 0xe300000-0xe3fffff");
}

#[test]
fn traps_of_the_spmc_manifest_are_known() {
    let folder = Folder::platform();
    let fat = format!("padding = \"{}\"; attribute {{", "x".repeat(3000));
    folder.edit("spmc.dts", "attribute {", &fat);
    folder.finds(&["spmc.dts"], 1, "TF-A has one page of 4096 for it");
    let folder = Folder::platform();
    folder.edit("spmc.dts", "binary_size = <0x200000>;", "");
    folder.finds(&["spmc.dts"], 1, "the SPMD refuses FFA_SECONDARY_EP_REGISTER");
    let folder = Folder::platform();
    folder.edit("spmc.dts", "entrypoint = <0x0 0xe100000>;", "entrypoint = <0x0 0xe300000>;");
    folder.finds(&["spmc.dts"], 1, "entrypoint 0xe300000 is outside load_address 0xe100000");
    let folder = Folder::platform();
    folder.edit("spmc.dts", "\t\tload_address = <0x0 0xe100000>;", "load_address = <0xe100000>;");
    folder.finds(&["spmc.dts"], 0, "warning: spmc.dts: SPMC manifest: /attribute: load_address has one cell");
    folder.finds(&["spmc.dts", "spmc.dts"], 1, "a second SPMC manifest");
}

#[test]
fn load_addresses_must_agree() {
    let folder = Folder::platform();
    folder.edit("echo.dts", "load-address = <0xe300000>;", "load-address = <0xe600000>;");
    folder.finds(ALL, 1, "echo.dts: loaded at 0xe600000, but no vm node of spmc.dts has that load_address");
    folder.finds(ALL, 1, "/hypervisor/vm1 'echo': no package among the inputs is loaded at 0xe300000");
    folder.edit("echo.dts", "load-address = <0xe600000>;", "");
    folder.finds(ALL, 1, "echo.dts: where it is loaded is not said");
    let folder = Folder::platform();
    folder.write("list.dts", edit(LIST, "0xe300000", "0xe310000"));
    folder.finds(&["spmc.dts", "list.dts"], 1, "/secure-partitions/echo: load-address 0xe310000 is no vm node's");
    folder.write("list.dts", edit(LIST, "\"arm,sp\"", "\"arm\""));
    folder.finds(&["spmc.dts", "list.dts"], 1, "compatible is not \"arm,sp\"");
    folder.write("list.dts", edit(LIST, "load-address = <0xe300000>;", ""));
    folder.finds(&["spmc.dts", "list.dts"], 1, "load-address is missing or wrong");
    let many: String = (0..9)
        .map(|i| format!("sp{i} {{ uuid = \"b4b5671e-4a90-4fe1-b81f-fb13dae1dac{i}\"; load-address = <0xe300000>; }};"))
        .collect();
    folder.write("list.dts", edit(LIST, "echo {", &format!("{many} echo {{")));
    folder.finds(&["spmc.dts", "list.dts"], 1, "10 packages: BL2 loads at most 8");
}

#[test]
fn partitions_without_an_spmc_manifest_are_held_against_each_other() {
    let folder = Folder::platform();
    folder.write("other.dts", PERCPU);
    let (status, text) = folder.lint(&["percpu.dts", "other.dts"]);
    assert_eq!(status, 1);
    for words in ["id 0x8010 is also", "boot-order 3", "load-address 0xe400000", "uuid 486178e0", "interrupt 40"] {
        assert!(text.contains(words), "{words} in:\n{text}");
    }
    let folder = Folder::new();
    folder.write("sp/a/manifest.dts", ECHO);
    folder.write("sp/b/manifest.dts", PERCPU);
    folder.finds(&["sp"], 0, "0 errors");
    folder.finds(&["sp/a"], 0, "0 errors");
}

#[test]
fn a_layout_is_followed() {
    let folder = Folder::platform();
    folder.write("echo.bin", [0; 0x1000]);
    let layout = r#"{ "echo": { "image": "echo.bin", "pm": "echo.dts", "owner": "SiP",
        "physical-load-address": "0xe300000", "uuid": "b4b5671e-4a90-4fe1-b81f-fb13dae1dacb" } }"#;
    folder.write("layout.json", layout);
    folder.finds(&["spmc.dts", "layout.json", "percpu.dts"], 0, "0x8001 'echo'");
    folder.write("echo.bin", vec![0; 0x100000]);
    folder.finds(
        &["spmc.dts", "layout.json", "percpu.dts"],
        1,
        "the package has 0x104000 bytes, 'echo' has mem_size 0x100000",
    );
    for (from, to, words) in [
        ("\"pm\": \"echo.dts\",", "", "echo: \"pm\" is missing"),
        ("\"image\": \"echo.bin\",", "", "echo: \"image\" is missing"),
        ("\"echo.bin\"", "\"none.bin\"", "echo: image none.bin: No such file"),
        ("\"echo.dts\"", "\"none.dts\"", "echo: manifest none.dts: dtc refuses it"),
        ("\"echo.bin\"", "{ \"file\": \"echo.bin\", \"offset\": \"0x1010\" }", "\"offset\" of \"image\" is 0x1010"),
        (
            "\"echo.bin\"",
            "{ \"file\": \"echo.bin\", \"offset\": 4096 }",
            "behind the image's offset 0x1000; move the image",
        ),
        ("\"0xe300000\"", "\"there\"", "\"physical-load-address\" is not a number"),
        ("dacb\"", "\"", "\"uuid\" is \"b4b5671e-4a90-4fe1-b81f-fb13dae1\""),
    ] {
        folder.write("layout.json", edit(layout, from, to));
        folder.finds(&["layout.json"], 1, words);
    }
    folder.write("layout.json", "[]");
    folder.finds(&["layout.json"], 2, "not a JSON object");
    folder.write("layout.json", "{");
    folder.finds(&["layout.json"], 2, "not JSON");
}

#[test]
fn packages_and_flash_images_are_taken_apart() {
    let folder = Folder::platform();
    folder.write("list.dts", LIST);
    folder.write("echo.pkg", package(&folder.blob("echo.dts"), 0x1000));
    folder.finds(&["spmc.dts", "echo.pkg", "percpu.dts"], 0, "0x8001 'echo'");
    folder.write("broken.pkg", b"SPKG");
    folder.finds(&["broken.pkg"], 1, "broken.pkg: package: header has 4 bytes");
    folder.write("percpu.pkg", package(&folder.blob("percpu.dts"), 0x100000));
    folder.finds(&["spmc.dts", "echo.pkg", "percpu.pkg"], 1, "the package has 0x104000 bytes, 'percpu'");

    let images = || {
        vec![
            (TB_FW_CONFIG, folder.blob("list.dts")),
            (BL32, vec![0; 0x1000]),
            (TOS_FW_CONFIG, folder.blob("spmc.dts")),
            (ECHO_PACKAGE, package(&folder.blob("echo.dts"), 0x1000)),
        ]
    };
    folder.write("flash.bin", flash(&images()));
    folder.finds(&["flash.bin", "percpu.dts"], 0, "0x8001 'echo'");
    let mut large = images();
    large[1].1 = vec![0; 0x200001];
    folder.write("flash.bin", flash(&large));
    folder.finds(&["flash.bin", "percpu.dts"], 1, "(BL32): 0x200001 bytes, more than binary_size 0x200000");
    let mut elsewhere = images();
    elsewhere[3].0 += 1;
    folder.write("flash.bin", flash(&elsewhere));
    folder.finds(&["flash.bin", "percpu.dts"], 1, "/secure-partitions/echo: no package b4b5671e-4a90");
    let mut without = images();
    without.remove(2);
    folder.write("flash.bin", flash(&without));
    folder.finds(&["flash.bin"], 1, "the FIP has no TOS_FW_CONFIG");
    let mut cut = flash(&images());
    cut.truncate(cut.len() - 1);
    folder.write("flash.bin", cut);
    folder.finds(&["flash.bin", "percpu.dts"], 1, "lies outside the file");
}

#[test]
fn inputs_that_cannot_be_read_end_with_status_2() {
    let folder = Folder::new();
    folder.write("text.bin", "hello");
    folder.write("bad.dts", "/dts-v1/; / {");
    folder.finds(&[], 2, "usage: lint");
    folder.finds(&["--loud"], 2, "no such option: --loud");
    folder.finds(&["none.dtb"], 2, "none.dtb: No such file");
    folder.finds(&["text.bin"], 2, "neither a device tree, a package");
    folder.finds(&["bad.dts"], 2, "dtc refuses it");
    folder.finds(&["."], 2, "no manifest.dts in it");
    folder.finds(&["--help"], 0, "usage: lint");
    folder.write("cut.dtb", 0xd00d_feed_u32.to_be_bytes());
    folder.finds(&["cut.dtb"], 1, "not a usable device tree: 4 bytes");
}
