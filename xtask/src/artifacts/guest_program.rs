// SPDX-License-Identifier: MIT OR Apache-2.0

//! Programs in C for test guests, of one file each.

use crate::{
    artifacts::{
        kernel::MAKE,
        linux_tree::{self, Series, linux_tree},
        sources::Sources,
    },
    cache::{Made, Recipe, Work},
    roots::{BUILD_ROOT, GUEST},
    run::{BUILD, SOURCE, WORK, machine},
};
use anyhow::Result;
use std::{fs, path::Path};

/// Program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GuestProgram {
    pub(crate) kind: &'static str,
    title: &'static str,
    /// Name of the program.
    program: &'static str,
    /// Its source, in a directory of [`SOURCES`].
    source: (&'static str, &'static str),
    library: Library,
}

/// C library of a program.
#[derive(Debug, Clone, Copy)]
enum Library {
    /// That of the kernel's source, for programs that need nothing else.
    Nolibc,
    /// Debian's, with librtas.
    Librtas,
}

/// Starts another kernel.
pub(crate) const KEXEC: GuestProgram = GuestProgram {
    kind: "kexec",
    title: "kexec",
    program: "kexec",
    source: ("kexec", "kexec.c"),
    library: Library::Nolibc,
};

/// Has a PCI function open through VFIO.
pub(crate) const HOLD_VFIO: GuestProgram = GuestProgram {
    kind: "hold-vfio",
    title: "hold-vfio",
    program: "hold-vfio",
    source: ("hold-vfio", "hold-vfio.c"),
    library: Library::Nolibc,
};

/// Has Debian's librtas read an event.
pub(crate) const PARSE_EVENT: GuestProgram = GuestProgram {
    kind: "librtas",
    title: "program that has librtas read an event",
    program: "parse-event",
    source: ("librtas", "parse.c"),
    library: Library::Librtas,
};

/// The directory of the sources, below the checkout.
const SOURCES: &str = "tests/guest";

/// nolibc lacks the functions that clang would replace calls by.
const WITH_NOLIBC: &str = "clang --target=powerpc64le-linux-gnu -Os -Wall -Wextra -Werror -fno-builtin \
                           -fno-stack-protector -fno-pic -nostdinc -nostdlib -static -fuse-ld=lld -include nolibc.h";

const WITH_LIBRTAS: &str = "clang --target=powerpc64le-linux-gnu -Os -Wall -Wextra -Werror -fuse-ld=lld";

/// The libraries beside librtas. The linker script of the C library names a file in `/lib64`, which only an installed
/// system has.
const LIBRARIES: &str = "-nodefaultlibs -lrtasevent -l:libc.so.6 -l:libc_nonshared.a";

impl GuestProgram {
    fn sources(self, checkout: &Path) -> Sources {
        let (directory, file) = self.source;
        Sources::new(&checkout.join(SOURCES).join(directory), &[file])
    }

    /// Returns the recipe.
    pub(crate) fn recipe(self) -> Recipe {
        let recipe = Recipe::new(self.kind, self.title, move |work| self.make(work)).file(self.program);
        let recipe = match self.library {
            Library::Nolibc => recipe
                .parts([BUILD_ROOT.recipe(), linux_tree(Series::General)])
                .text("make", MAKE.join(" "))
                .text("compiler", WITH_NOLIBC),
            Library::Librtas => recipe
                .parts([BUILD_ROOT.recipe(), GUEST.recipe()])
                .text("compiler", WITH_LIBRTAS)
                .text("libraries", LIBRARIES),
        };
        recipe.read(move |inputs, settings| self.sources(&settings.checkout).add_to(inputs))
    }

    fn make(self, work: &Work<'_>) -> Result<Made> {
        let stage = work.mkdir("build")?;
        self.sources(&work.settings.checkout).copy_to(&stage)?;
        let sandbox = BUILD_ROOT.sandbox(work).bind(&stage, BUILD);
        let files = ["-o", &format!("{BUILD}/{}", self.program), &format!("{BUILD}/{}", self.source.1)];
        let compile = format!("compiling {}", self.program);
        match self.library {
            Library::Nolibc => {
                let sandbox = sandbox.bind_read_only(&work.of(linux_tree::KIND).tree(), SOURCE);
                let mut make = sandbox.command(MAKE);
                make.args(["-C", SOURCE, &format!("O={BUILD}"), &format!("-j{}", machine::jobs()), "headers"]);
                work.log.run("the kernel's headers for programs", &mut make)?;
                let mut clang = sandbox.command(WITH_NOLIBC.split(' '));
                clang.arg(format!("-I{SOURCE}/tools/include/nolibc")).arg(format!("-I{BUILD}/usr/include"));
                work.log.run(&compile, clang.args(files))?;
            }
            Library::Librtas => {
                let sandbox = sandbox.bind_read_only(&work.of(GUEST.kind).tree(), WORK);
                let mut clang = sandbox.command(WITH_LIBRTAS.split(' '));
                clang.arg(format!("--sysroot={WORK}")).args(files).args(LIBRARIES.split(' '));
                work.log.run(&compile, &mut clang)?;
            }
        }
        fs::rename(stage.join(self.program), work.path(self.program))?;
        Ok(Made::default())
    }
}
