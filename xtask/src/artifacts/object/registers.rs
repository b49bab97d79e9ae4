// SPDX-License-Identifier: MIT OR Apache-2.0

//! Check that code uses integer registers only, as kernel code must.

use anyhow::{Result, bail, ensure};

/// Reads the output of `llvm-objdump -d --no-show-raw-insn` of a powerpc object. The error lists the instructions that
/// kernel code must not have.
pub(crate) fn check(disassembly: &str) -> Result<()> {
    let mut function = "";
    let mut found = Vec::new();
    let mut count = 0;
    for line in disassembly.lines() {
        if let Some((_, name)) = line.strip_suffix(">:").and_then(|line| line.split_once('<')) {
            function = name;
        } else if let Some(mnemonic) = mnemonic(line) {
            count += 1;
            if is_forbidden(mnemonic) {
                found.push(format!("{mnemonic} in {function}"));
            }
        }
    }
    ensure!(count > 0, "the disassembly has no instruction in it");
    if !found.is_empty() {
        bail!("floating-point or vector instructions: {}", found.join(", "));
    }
    Ok(())
}

/// Returns the mnemonic in a line such as `      14:      \tstd 0, 16(1)`.
fn mnemonic(line: &str) -> Option<&str> {
    let (address, instruction) = line.split_once(':')?;
    let address = address.trim();
    let is_address = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_address.then(|| instruction.split_whitespace().next()).flatten()
}

/// Returns whether an instruction of the Power ISA (v3.1) uses a floating-point, vector, VSX or accumulator register,
/// or their status. The mnemonics are systematic, see books I.4 to I.7.
fn is_forbidden(mnemonic: &str) -> bool {
    const INTEGER_X: &[&str] = &["xor", "xor.", "xori", "xoris"];
    const BEGIN: &[&str] = &[
        // Vector and VSX arithmetic; xor is the only integer one
        "v", "x", // Loads and stores of all three, also with a prefix
        "lf", "lv", "lxv", "lxs", "lxvd", "stf", "stv", "stxv", "stxs", "plf", "plxs", "plxv", "pstf", "pstxs",
        "pstxv", // Floating and decimal arithmetic
        "f", "dadd", "dsub", "dmul", "ddiv", "dcmp", "dtst", "dqua", "drint", "dctdp", "dctfix", "drsp", "dcffix",
        "denbcd", "ddedpd", "dxex", "diex", "dscl", "dscr", // Moves to and from them, and their status
        "mf", "mtv", "mtf", "mcrfs", "bcd", "pmx", "mtvsr",
    ];
    const INTEGER_MF: &[&str] = &["mfcr", "mfocrf", "mflr", "mfctr", "mfxer", "mfspr", "mftb", "mfmsr"];
    let begins = BEGIN.iter().any(|begin| mnemonic.starts_with(begin));
    begins && !INTEGER_X.contains(&mnemonic) && !INTEGER_MF.contains(&mnemonic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(instructions: &[&str]) -> String {
        let begin = "\nx.o:\tfile format elf64-powerpcle\n\n0000000000000000 <papr_load>:\n".to_owned();
        instructions.iter().fold(begin, |text, instruction| text + &format!("      14:      \t{instruction}\n"))
    }

    #[test]
    fn integer_instructions_pass_and_nothing_does_not() {
        check(&listing(&["mflr 0", "std 0, 16(1)", "xor 3, 4, 5", "divd 3, 4, 5", "dcbt 0, 3", "lwarx 5, 0, 3"]))
            .unwrap();
        check("\nx.o:\tfile format elf64-powerpcle\n").unwrap_err();
    }

    #[test]
    fn each_kind_of_register_that_is_not_an_integers_is_found() {
        let floating = "fadd lfd stfd mffs dadd";
        let vector = "lvx stvx vaddudm mfvscr mtvscr lxvd2x stxvd2x xxlxor mtvsrd mfvsrd xvmuldp pstxv lxsd";
        for mnemonic in floating.split(' ').chain(vector.split(' ')) {
            let error = check(&listing(&["nop", &format!("{mnemonic} 1, 2, 3")])).unwrap_err().to_string();
            assert_eq!(error, format!("floating-point or vector instructions: {mnemonic} in papr_load"));
        }
    }
}
