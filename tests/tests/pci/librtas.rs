// SPDX-License-Identifier: MIT OR Apache-2.0

//! Events of the VMM as the distribution's librtas reads them.

use crate::on_distribution;
use anyhow::{Context as _, Result};
use papr_unplug_tests::{device::pci::Function, guest::agent::LOG, vm::Vm};
use papr_unplug_wire::wire::{section::HotplugSection, token::Token};

/// PUE-V-025
#[test]
#[ignore = "needs a distribution's programs: cargo xtask pci"]
fn event_with_a_token_reads_to_librtas_as_one_without() {
    let card = Function::new(1);
    on_distribution(&[&card], |vm| {
        let (with, token) = read_event(vm, &card)?;
        vm.unload_module()?;
        let (without, no_token) = read_event(vm, &card)?;
        assert!(token != Token::NONE && no_token == Token::NONE, "{token:?} {no_token:?}");
        assert_eq!(with, without);
        assert_eq!(with, format!("type=5 action=2 identifier=2 drc={:#x}", card.connector().0));
        Ok(())
    });
}

/// Requests a function, and takes the event. Returns what librtas finds in it, and its token.
fn read_event(vm: &mut Vm, function: &Function) -> Result<(String, Token)> {
    vm.guest.sh(&format!("rm -f /tmp/event; {{ dd if={LOG} of=/tmp/event bs=4096 count=1 2> /dev/null & }}"))?;
    vm.await_reader("dd")?;
    let _request = vm.request_untraced(function)?;
    vm.guest.sh("until [ -s /tmp/event ]; do :; done")?;
    let found = vm.guest.sh("/usr/sbin/parse-event < /tmp/event")?.trim().to_owned();
    let digits = vm.guest.sh("hexdump -v -e '1/1 \"%02x\"' /tmp/event")?;
    let bytes = bytes(digits.trim()).context("the guest dumps no bytes")?;
    let section = (0..bytes.len()).find(|at| HotplugSection::from_bytes(&bytes[*at..]).is_some());
    Ok((found, HotplugSection::token(&bytes[section.context("the event has no hot plug section")?..])))
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    digits.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
