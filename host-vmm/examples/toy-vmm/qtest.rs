// SPDX-License-Identifier: MIT OR Apache-2.0

//! QEMU's qtest protocol, by which a client stands in for the guest (`docs/devel/testing/qtest.rst` in QEMU's source).

use crate::{machine::Machine, rtas::Cells};

/// Returns the answer to a line.
pub(crate) fn answer(machine: &mut Machine, line: &str) -> String {
    execute(machine, line).unwrap_or_else(|| format!("FAIL Cannot do '{line}'"))
}

fn execute(machine: &mut Machine, line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match *words.as_slice() {
        ["read", address, length] => {
            let bytes = machine.memory.read(number(address)?, number(length)?)?;
            Some(format!("OK 0x{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
        }
        ["write", address, length, data] => {
            let bytes = hex(data).filter(|bytes| number(length) == Some(bytes.len() as u64))?;
            machine.memory.write(number(address)?, &bytes)?;
            Some("OK".to_owned())
        }
        ["rtas", name, arguments, at, results, results_at] => {
            let arguments = Cells { address: number(at)?, count: number(arguments)? };
            let results = Cells { address: number(results_at)?, count: number(results)? };
            machine.rtas(name, &arguments, &results)?;
            Some("OK 0".to_owned())
        }
        // Not QEMU's: no guest negotiates under its qtest.
        ["cas"] => {
            machine.cas();
            Some("OK".to_owned())
        }
        _ => None,
    }
}

fn number(word: &str) -> Option<u64> {
    word.strip_prefix("0x").map_or_else(|| word.parse(), |digits| u64::from_str_radix(digits, 16)).ok()
}

fn hex(word: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    };
    word.strip_prefix("0x")?.as_bytes().chunks(2).map(byte).collect()
}
