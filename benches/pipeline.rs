//! How long each stage of the pipeline takes: `cargo bench --bench pipeline`.
//!
//! On a machine that does other things too, `--bench instructions` tells more.

mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wiz_context::domain::Change;
use wiz_context::pipeline::{Batcher, compare};

const FINDINGS: u64 = 50_000;
const ASSETS: u64 = 2_000;

fn reading(criterion: &mut Criterion) {
    let report = support::report(FINDINGS, ASSETS);
    let gzip = support::gzip(&report);
    let mut group = criterion.benchmark_group("read and fold");
    group
        .throughput(Throughput::Bytes(report.len() as u64))
        .sample_size(20);
    group.bench_function("plain", |bencher| {
        bencher.iter(|| support::read(black_box(&report)));
    });
    group.bench_function("gzip", |bencher| bencher.iter(|| support::read(black_box(&gzip))));
    group.finish();
    criterion.bench_function("merge by address", |bencher| {
        bencher.iter_batched(
            || support::read(&report),
            |facts| facts.into_addresses().count(),
            criterion::BatchSize::LargeInput,
        );
    });
}

fn planning(criterion: &mut Criterion) {
    let wanted = support::wanted(&support::report(FINDINGS, ASSETS));
    let ledger = support::ledger(&wanted);
    let mut group = criterion.benchmark_group("plan");
    group
        .throughput(Throughput::Elements(ledger.len() as u64))
        .sample_size(20);
    group.bench_function("each tenth pair differs", |bencher| {
        bencher.iter(|| compare(black_box(&wanted), black_box(&ledger)));
    });
    group.bench_function("from nothing", |bencher| {
        bencher.iter(|| compare(black_box(&wanted), &[]));
    });
    let changes = compare(&wanted, &[]).changes;
    group.bench_function("batch", |bencher| {
        bencher.iter_batched(|| changes.clone(), batch, criterion::BatchSize::LargeInput);
    });
    group.finish();
}

/// How many requests the changes make.
fn batch(changes: Vec<Change>) -> usize {
    let mut batcher = Batcher::new();
    let full = changes
        .into_iter()
        .filter_map(|change| batcher.push(change))
        .count();
    full + batcher.finish().count()
}

criterion_group!(benches, reading, planning);
criterion_main!(benches);
