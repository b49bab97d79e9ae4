// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module for one of Debian's kernels, built by the plain commands that a user of that kernel types, but on this
//! machine.

use std::path::Path;

use anyhow::Result;

use crate::artifacts::debian::kernel::DebianKernel;
use crate::artifacts::debian::root::DebianRoot;
use crate::artifacts::module::{FILE, take};
use crate::artifacts::module_sources::{stage_sources, with_sources};
use crate::artifacts::object::Object;
use crate::artifacts::root::Root;
use crate::cache::manifest::{Inputs, Made};
use crate::cache::store::{Artifact, Recipe, Store};
use crate::host;
use crate::host::sandbox::{BUILD, WORK};
use crate::run::step::Log;
use crate::settings::Settings;

const CROSS: &str = "powerpc64le-linux-gnu-";

/// The module; its file is [`crate::artifacts::module::FILE`].
#[derive(Debug)]
pub(crate) struct DebianModule(pub(crate) DebianKernel);

impl Recipe for DebianModule {
    fn kind(&self) -> &'static str {
        "debian-module"
    }

    fn title(&self) -> String {
        format!("module (Debian's kernel, {})", self.0.name())
    }

    fn parts(&self) -> Vec<&dyn Recipe> {
        vec![&DebianRoot, &self.0, &Object]
    }

    fn inputs(&self, settings: &Settings) -> Result<Inputs> {
        with_sources(Inputs::default().text("cross", CROSS), &settings.checkout)
    }

    fn needs(&self) -> u64 {
        50
    }

    fn make(&self, store: &Store, parts: &[Artifact], dir: &Path) -> Result<Made> {
        let [root, kernel, object] = parts else { unreachable!("three parts are declared") };
        let mut log = Log::begin(store, &format!("debian-module-{}", self.0.name()))?;
        let stage = dir.join("build");
        stage_sources(&store.settings.checkout, &stage)?;
        Object::stage(object, &stage)?;
        let sandbox = Root::sandbox(root).bind_read_only(&kernel.path(DebianKernel::TREE), BUILD).bind(&stage, WORK);
        let mut make = sandbox.command(["make", "-C"]);
        make.arg(format!("{BUILD}/{}", DebianKernel::fact(kernel, "headers")));
        make.arg(format!("M={WORK}")).arg("ARCH=powerpc").arg(format!("CROSS_COMPILE={CROSS}"));
        make.arg(format!("CC={CROSS}gcc-{}", DebianKernel::fact(kernel, "gcc")));
        log.run(store, "building papr_unplug.ko", make.arg(format!("-j{}", host::jobs())).arg("modules"))?;
        let strip = [format!("{CROSS}strip"), "--strip-debug".to_owned(), format!("{WORK}/{FILE}")];
        log.run(store, "stripping papr_unplug.ko", &mut sandbox.command(strip))?;
        take(&stage, dir)
    }
}
