// SPDX-License-Identifier: GPL-2.0-only

//! Declarations of the functions in `shim.c` and `return_probe.c`; `shim.h` documents them.

use core::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

/// `struct papr_probe`.
#[repr(C)]
pub(crate) struct Probe {
    _opaque: [u8; 0],
}

/// `struct pt_regs`.
#[repr(C)]
pub(crate) struct Registers {
    _opaque: [u8; 0],
}

/// `struct papr_traces`.
#[repr(C)]
pub(crate) struct Traces {
    pub(crate) interrupted: unsafe extern "C" fn(bool),
    pub(crate) queued: unsafe extern "C" fn(c_ulong),
    pub(crate) begins: unsafe extern "C" fn(c_ulong),
    pub(crate) ends: unsafe extern "C" fn(bool),
    pub(crate) cpu_state: unsafe extern "C" fn(u32, u32, u32, c_int),
    pub(crate) forks: unsafe extern "C" fn(u32, u32),
    pub(crate) exits: unsafe extern "C" fn(u32, u32),
    pub(crate) finds_locked: unsafe extern "C" fn(),
}

/// `struct papr_traced`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Traced {
    pub(crate) cpu_states: bool,
    pub(crate) processes: bool,
}

extern "C" {
    pub(crate) fn papr_is_pseries() -> bool;
    pub(crate) fn papr_has_dr_connectors() -> bool;
    pub(crate) fn papr_has_return_probes() -> bool;
    pub(crate) fn papr_kernel_answers() -> bool;
    pub(crate) fn papr_must_not_probe() -> bool;
    #[cfg(CONFIG_RUST)]
    pub(crate) fn papr_caution();

    pub(crate) fn papr_allocate(count: usize, size: usize) -> *mut c_void;
    pub(crate) fn papr_free(memory: *mut c_void);

    pub(crate) fn papr_lock() -> c_ulong;
    pub(crate) fn papr_unlock(flags: c_ulong);
    pub(crate) fn papr_is_locked_here() -> bool;

    pub(crate) fn papr_probe_register(
        symbol: *const c_char,
        group: c_uint,
        enter: unsafe extern "C" fn(*mut Registers, &mut c_ulong) -> bool,
        leave: unsafe extern "C" fn(c_ulong, c_ulong),
        probe: *mut *mut Probe,
    ) -> c_int;
    pub(crate) fn papr_probe_unregister(probe: *mut Probe);
    pub(crate) fn papr_probe_symbol(probe: *const Probe) -> *const c_char;
    pub(crate) fn papr_probe_missed(probe: *const Probe) -> c_ulong;
    pub(crate) fn papr_group_missed(group: c_uint) -> c_ulong;
    pub(crate) fn papr_probes_settle();

    pub(crate) fn papr_call_canary();
    pub(crate) fn papr_probe_argument(regs: *mut Registers, nr: c_uint) -> c_ulong;
    pub(crate) fn papr_read_kernel(to: *mut c_void, from: c_ulong, size: usize) -> bool;
    pub(crate) fn papr_drmem_lmb_drc_index() -> usize;
    pub(crate) fn papr_drmem_lmb_flags() -> usize;
    pub(crate) fn papr_work_request() -> usize;
    pub(crate) fn papr_device_is_cpu(dev: c_ulong, cpu: *mut u32) -> bool;
    pub(crate) fn papr_page_address(page: c_ulong) -> u64;
    pub(crate) fn papr_memory_is_going(action: c_ulong) -> bool;
    pub(crate) fn papr_node_is_going(action: c_ulong) -> bool;
    pub(crate) fn papr_notifier_errno(answer: c_int) -> c_int;
    pub(crate) fn papr_is_last_cpu() -> bool;
    pub(crate) fn papr_is_housekeeper_but(cpu: u32) -> bool;

    pub(crate) fn papr_traces_attach(traces: *const Traces, traced: &mut Traced) -> c_int;
    pub(crate) fn papr_traces_detach();

    pub(crate) fn papr_process() -> u32;
    pub(crate) fn papr_read_user(to: *mut c_void, from: c_ulong, size: usize) -> bool;
    pub(crate) fn papr_write_user(to: c_ulong, byte: u8) -> bool;
    pub(crate) fn papr_event_log_is_open() -> bool;
    pub(crate) fn papr_event_log_wake(asleep: unsafe extern "C" fn(u32));

    pub(crate) fn papr_uptime() -> u64;
    pub(crate) fn papr_current() -> c_ulong;
    pub(crate) fn papr_current_is_worker() -> bool;
    pub(crate) fn papr_in_interrupt() -> bool;

    pub(crate) fn papr_has_event_source() -> bool;
    pub(crate) fn papr_lmb_table(size: &mut usize, sequences: &mut bool) -> *const u8;
    pub(crate) fn papr_rtas_property(name: *const c_char, to: *mut c_void, size: usize) -> usize;
    pub(crate) fn papr_get_sensor_state(sensor: u32, index: u32, state: *mut u32) -> c_int;
    pub(crate) fn papr_set_indicator(indicator: u32, index: u32, state: u32) -> c_int;
    pub(crate) fn papr_rtas_pause(status: c_int);

    pub(crate) fn papr_worker_start(run: unsafe extern "C" fn()) -> c_int;
    pub(crate) fn papr_worker_wake();
    pub(crate) fn papr_worker_flush();
    pub(crate) fn papr_worker_stop();

    pub(crate) fn papr_reboot_watch(down: unsafe extern "C" fn()) -> c_int;
    pub(crate) fn papr_reboot_unwatch();

    pub(crate) fn papr_offer_watch(name: *const c_char, changed: unsafe extern "C" fn()) -> c_int;
    pub(crate) fn papr_offer_unwatch();

    pub(crate) fn papr_may_log() -> bool;
}
