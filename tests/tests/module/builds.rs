// SPDX-License-Identifier: MIT OR Apache-2.0

//! The two builds of the module, which a kernel with `CONFIG_RUST` can load both. They behave alike.

use papr_unplug_tests::{
    artifacts::Artifacts,
    device::dimm::{Dimm, TWO_LMBS},
    observe::{frames, modinfo::Modinfo},
    pairing::Pairing,
    removal::Outcome,
    story::story,
    vm::Vm,
};

#[test]
fn module_files_differ_in_what_they_say_of_their_face() {
    let artifacts = Artifacts::find().unwrap();
    let [crates, standalone] =
        [Some(artifacts.module), artifacts.module_standalone].map(|file| Modinfo::read(&file.unwrap()).unwrap());
    assert_eq!((crates.get("build"), standalone.get("build")), (Some("kernel-crate"), Some("standalone")));
    for field in ["name", "license", "author", "version", "description", "vermagic"] {
        assert!(crates.get(field).is_some(), "{field}");
        assert_eq!(crates.get(field), standalone.get(field), "{field}");
    }
}

#[test]
fn standalone_functions_take_little_of_the_stack() {
    let largest = frames::largest(&Artifacts::find().unwrap().module_standalone.unwrap()).unwrap();
    assert!((1..=1024).contains(&largest), "a function of the module takes {largest} bytes of the kernel's stack");
}

#[test]
fn both_faces_do_and_say_the_same_of_a_refusal() {
    story(Pairing::OURS_ON_STOCK, |vm| {
        let dimm = vm.plug_dimm(TWO_LMBS)?;
        vm.veto_offlining()?;
        let said = refuse(vm, &dimm)?;
        vm.unload_module()?;
        vm.load_standalone_module()?;
        assert_eq!(refuse(vm, &dimm)?, said);
        Ok(())
    });
}

/// Makes the guest refuse a DIMM, and returns all debugfs files of the module.
fn refuse(vm: &mut Vm, dimm: &Dimm) -> anyhow::Result<String> {
    let removal = vm.remove(dimm)?;
    assert_eq!((removal.outcome, removal.unisolated()), (Outcome::Refused, vec![dimm.connector(0)]));
    vm.guest.sh("cat /sys/kernel/debug/papr_unplug/*")
}
