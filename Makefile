# SPDX-License-Identifier: GPL-2.0-only
#
# `make` builds the module by Kbuild. KDIR names the build directory of another kernel. To build for
# another machine, say ARCH=powerpc CROSS_COMPILE=powerpc64le-linux-gnu- as for the kernel itself.

KDIR ?= /lib/modules/$(shell uname -r)/build

modules modules_install clean:
	$(MAKE) -C $(KDIR) M=$(CURDIR) $@

.PHONY: modules modules_install clean
