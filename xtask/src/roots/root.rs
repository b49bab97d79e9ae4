// SPDX-License-Identifier: MIT OR Apache-2.0

//! Roots for builds: Debian packages of this machine's architecture, unpacked without their maintainer scripts.
//!
//! Without scripts no privilege is needed. The few things that scripts set up and builds need are set up here.

use crate::{
    cache::{Made, Recipe, Work},
    roots::packages::{EXCLUDED, tar_arguments, unpack},
    run::{Apt, Log, Sandbox, machine, sandbox::MOUNT_POINTS},
};
use anyhow::{Context, Result};
use std::{fs, os::unix::fs::symlink, path::Path};

/// The suite of most roots: the oldest with a rustc (1.95 or newer) that the kernel accepts.
pub(crate) const SUITE: &str = "forky";

/// The tree inside the artifact.
pub(super) const TREE: &str = "tree";

/// One root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Root {
    pub(crate) kind: &'static str,
    pub(super) title: &'static str,
    pub(super) suite: &'static str,
    pub(super) packages: &'static str,
    /// In MiB.
    pub(super) needs: u64,
    /// Names and values that stand for [`Root::fit`] in the key.
    pub(super) fitted: &'static [(&'static str, &'static str)],
    /// Changes the artifact in this directory after unpacking.
    pub(super) fit: fn(&Path) -> Result<()>,
    /// The files that are handed out besides.
    pub(super) files: &'static [&'static str],
}

/// What most roots are like.
pub(super) const PLAIN: Root =
    Root { kind: "", title: "", suite: SUITE, packages: "", needs: 900, fitted: &[], fit: |_| Ok(()), files: &[] };

/// The root with the kernel's tool chain and QEMU.
pub(crate) const BUILD_ROOT: Root = Root {
    kind: "root",
    title: "build root (Debian forky)",
    packages: "?essential bc bindgen bison clang flex libelf-dev lld llvm make patch perl python3-minimal \
               qemu-system-data qemu-system-ppc rust-src rustc xz-utils",
    needs: 1900,
    ..PLAIN
};

/// The root that QEMU is built in, and that its instructions are counted in. It takes a tenth of the time of
/// [`BUILD_ROOT`], so that a command that needs only this one is soon ready. QEMU 11.1 sets the Python packages up in
/// every build.
pub(crate) const QEMU_ROOT: Root = Root {
    kind: "qemu-root",
    title: "build root for QEMU",
    packages: "?essential bison bzip2 flex gcc libc6-dev libfdt-dev libglib2.0-dev make meson ninja-build patch \
               pkgconf python3 python3-pycotap python3-qemu-qmp python3-venv python3-wheel qemu-system-data valgrind \
               xz-utils zlib1g-dev",
    fitted: &[("certificates", "1")],
    fit: bundle_certificates,
    ..PLAIN
};

/// The root that QEMU is built in for POWER hosts, with such a host's own QEMU. gcc compiles the build's own programs;
/// qemu-user runs the loader, to find libraries.
pub(crate) const CROSS_ROOT: Root = Root {
    kind: "cross-root",
    title: "build root for QEMU on POWER",
    packages: "?essential bison bzip2 flex gcc gcc-powerpc64le-linux-gnu libaio-dev:ppc64el libattr1-dev:ppc64el \
               libc6-dev libcap-ng-dev:ppc64el libfdt-dev:ppc64el libglib2.0-dev:ppc64el libnuma-dev:ppc64el \
               libpixman-1-dev:ppc64el libseccomp-dev:ppc64el libslirp-dev:ppc64el liburing-dev:ppc64el \
               libzstd-dev:ppc64el meson ninja-build patch pkgconf python3 python3-pycotap python3-venv python3-wheel \
               qemu-system-data qemu-system-ppc:ppc64el qemu-user xz-utils zlib1g-dev:ppc64el",
    needs: 1900,
    fitted: &[("certificates", "1")],
    fit: bundle_certificates,
    ..PLAIN
};

/// The root that libvirt is built and tested in.
pub(crate) const LIBVIRT_BUILD_ROOT: Root = Root {
    kind: "libvirt-build-root",
    title: "build root for libvirt",
    packages: "?essential gcc libc6-dev libglib2.0-dev libgnutls28-dev libjson-c-dev libnl-3-dev libnl-route-3-dev \
               libtirpc-dev libxml2-dev libxml2-utils meson ninja-build patch perl pkgconf python3 python3-docutils \
               rpcsvc-proto xsltproc xz-utils",
    ..PLAIN
};

/// The root that modules for Debian's kernels are built in: cross compilers of the versions that those kernels were
/// built with, and the libraries of the kernels' own build programs.
pub(crate) const DEBIAN_ROOT: Root = Root {
    kind: "debian-root",
    title: "build root for Debian's kernels",
    packages: "?essential gcc-12-powerpc64le-linux-gnu gcc-14-powerpc64le-linux-gnu gcc-16-powerpc64le-linux-gnu \
               libelf1t64 libssl3t64 make pahole xz-utils",
    ..PLAIN
};

/// The root with what makes and checks RPM packages.
pub(crate) const RPM_ROOT: Root =
    Root { kind: "rpm-root", title: "root with rpm", packages: "?essential rpm rpmlint", needs: 400, ..PLAIN };

/// The root with the Rust of Debian's stable release, by which distributions build the C library, and with what compares
/// ABIs.
pub(crate) const STABLE_ROOT: Root = Root {
    kind: "stable-root",
    title: "build root with the Rust of Debian's stable release",
    suite: "trixie",
    packages: "?essential abigail-tools cargo gcc libc6-dev meson pkgconf rustc",
    needs: 1200,
    ..PLAIN
};

impl Root {
    /// Returns the recipe.
    pub(crate) fn recipe(self) -> Recipe {
        let recipe = Recipe::new(self.kind, self.title, move |work| self.make(work))
            .text("suite", self.suite)
            .text("packages", self.packages)
            .text("tar", tar_arguments(EXCLUDED).join(" "))
            .text("made by hand", "1")
            .read(|inputs, _| Ok(inputs.text("arch", machine::arch()?.debian)))
            .needs(self.needs)
            .tree(TREE);
        let recipe = self.fitted.iter().fold(recipe, |recipe, (name, value)| recipe.text(name, *value));
        self.files.iter().fold(recipe, |recipe, name| recipe.file(*name))
    }

    /// Returns a sandbox in the root, which is a part of what is made.
    pub(crate) fn sandbox(self, work: &Work<'_>) -> Sandbox {
        Sandbox::new(&work.of(self.kind).tree())
    }

    fn make(self, work: &Work<'_>) -> Result<Made> {
        machine::require_tools(&work.store.progress)?;
        let native = machine::arch()?.debian;
        let foreign = self.packages.split(' ').find_map(|package| Some(package.split_once(':')?.1));
        let sources: Vec<_> = [native].into_iter().chain(foreign).map(|arch| (self.suite, arch)).collect();
        let apt = Apt::new(work.settings, &work.log, work.path("apt"), &sources)?;
        // Apt takes `?essential` for those of each architecture.
        let packages = self.packages.replace("?essential", &format!("?and(?essential,?architecture({native}))"));
        let debs = apt.fetch_closure(&work.log, &packages.split(' ').collect::<Vec<_>>())?;
        let tree = work.mkdir(TREE)?;
        unpack(&work.log, &debs, &tree)?;
        set_up(&work.log, &tree)?;
        (self.fit)(work.dir).with_context(|| format!("cannot prepare the {}", self.title))?;
        Ok(debs.iter().fold(Made::default(), |made, deb| {
            // name_version_arch.deb
            let name = deb.file_stem().unwrap_or_default().to_string_lossy();
            let mut words = name.split('_');
            made.fact(words.next().unwrap_or_default(), words.next().unwrap_or_default())
        }))
    }
}

/// Does what maintainer scripts would have done, as far as builds need it.
fn set_up(log: &Log, tree: &Path) -> Result<()> {
    symlink("mawk", tree.join("usr/bin/awk"))?;
    fs::write(tree.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(tree.join("etc/group"), "root:x:0:\n")?;
    for point in MOUNT_POINTS {
        fs::create_dir(tree.join(&point[1..]))?;
    }
    log.run("ldconfig", &mut Sandbox::writable(tree).command(["ldconfig"]))
}

/// Does what the maintainer script of `ca-certificates` would have done: pip, which sets up QEMU's Python environment,
/// does not start without the bundle, although it fetches nothing.
fn bundle_certificates(dir: &Path) -> Result<()> {
    let tree = dir.join(TREE);
    let mut bundle = Vec::new();
    for entry in fs::read_dir(tree.join("usr/share/ca-certificates/mozilla"))? {
        bundle.extend(fs::read(entry?.path())?);
    }
    fs::write(tree.join("etc/ssl/certs/ca-certificates.crt"), bundle).map_err(Into::into)
}
