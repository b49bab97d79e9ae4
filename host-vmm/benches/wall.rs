// SPDX-License-Identifier: MIT OR Apache-2.0

//! Benchmark by wall clock: `cargo bench -p papr-unplug --bench wall`.

#![forbid(unsafe_code)]
#![expect(missing_docs, reason = "criterion's macros make public functions without any")]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use papr_unplug::{
    Config, Offer, Span, Tracker,
    event::Requested,
    wire::{
        drc::DrcIndex,
        hotplug::Resource,
        offer::{Classes, Features},
        rtas::Indicator,
    },
};
use std::hint::black_box;

const FIRST: DrcIndex = DrcIndex(0x8000_0000);

/// Returns a machine with a configured DIMM of this number of LMBs. Memory is armed.
fn machine(lmbs: u32) -> (Tracker, Span) {
    let offer = Offer::new(Indicator(9100), Classes::MEMORY, Features::TOKEN);
    let mut machine = Tracker::new(Config::default().offer(offer));
    let dimm = Span::new(FIRST, lmbs).expect("a DIMM has LMBs");
    machine.add_connectors(Resource::MEMORY, dimm).expect("they are new");
    machine.plug(dimm).expect("they are free");
    machine.boot(FIRST);
    machine.set_indicator(&[9100, 0, 0x2001_0004], &mut ());
    (machine, dimm)
}

fn set_indicator(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("set-indicator");
    for connectors in [10, 1_000, 100_000, 1_000_000] {
        let (mut machine, dimm) = machine(connectors);
        let mut indexes = dimm.indexes().cycle();
        group.bench_function(BenchmarkId::new("hint at any connector of", connectors), |bencher| {
            bencher.iter(|| machine.set_indicator(&[9001, indexes.next().map_or(0, |index| index.0), 1], &mut ()));
        });
        group.bench_function(BenchmarkId::new("report, connectors", connectors), |bencher| {
            bencher.iter(|| machine.set_indicator(black_box(&[9100, FIRST.0, 0x8610_0007]), &mut ()));
        });
    }
}

fn release(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("request and release of a DIMM");
    for lmbs in [1, 256, 4_096, 65_536] {
        group.throughput(Throughput::Elements(lmbs.into()));
        group.bench_function(BenchmarkId::new("LMBs", lmbs), |bencher| {
            let give_back = |(mut machine, dimm): (Tracker, Span)| {
                assert!(matches!(machine.request(FIRST, &mut ()), Ok(Requested::Ask(_))));
                for index in dimm.indexes() {
                    machine.set_indicator(&[9001, index.0, 0], &mut ());
                    machine.set_indicator(&[9003, index.0, 0], &mut ());
                }
                machine
            };
            bencher.iter_batched(|| machine(lmbs), give_back, BatchSize::LargeInput);
        });
    }
}

fn save_and_restore(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("save and restore of a DIMM");
    for lmbs in [256, 65_536] {
        let (machine, _) = machine(lmbs);
        group.bench_function(BenchmarkId::new("LMBs", lmbs), |bencher| {
            let mut twin = machine.clone();
            bencher.iter(|| twin.restore(&machine.save(), &mut ()));
        });
    }
}

criterion_group!(benches, set_indicator, release, save_and_restore);
criterion_main!(benches);
