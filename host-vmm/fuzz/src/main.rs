// SPDX-License-Identifier: MIT OR Apache-2.0

//! Plays every history of a corpus of the target `tracker` again, and prints what it reaches of the state machine.

#![forbid(unsafe_code)]

use arbitrary::{Arbitrary as _, Unstructured};
use papr_unplug_fuzz::{census::Census, history::History};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let mut census = Census::default();
    let (mut histories, mut actions) = (0, 0);
    for directory in env::args_os().skip(1) {
        for file in fs::read_dir(directory)? {
            let bytes = fs::read(file?.path())?;
            if let Ok(history) = History::arbitrary_take_rest(Unstructured::new(&bytes)) {
                history.live(|reference| census.see(reference));
                histories += 1;
                actions += history.actions.0.len();
            }
        }
    }
    println!("{histories} histories of {actions} actions");
    print!("{census}");
    Ok(())
}
