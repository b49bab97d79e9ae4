// SPDX-License-Identifier: MIT OR Apache-2.0

//! Proves that `include/papr_unplug.h` is what cbindgen makes of `src/`, and renews it.

use std::{env, fs, path::Path};

const RENEW: &str = "PAPR_UNPLUG_RENEW";

#[test]
fn header_is_fresh() {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(crate_dir.join("cbindgen.toml")).unwrap();
    let bindings = cbindgen::Builder::new().with_crate(crate_dir).with_config(config).generate().unwrap();
    let mut fresh = Vec::new();
    bindings.write(&mut fresh);

    let path = crate_dir.join("include/papr_unplug.h");
    if env::var_os(RENEW).is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    let file = fs::read(&path).unwrap_or_default();
    assert!(file == fresh, "include/papr_unplug.h is not what src/ says: run this test with {RENEW}=1 set");
}
