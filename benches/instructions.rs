//! How many instructions the hot path takes: `cargo bench --bench instructions`.
//!
//! The count is the same on a busy machine, so a regression of a percent shows. It is taken with AVX2, which is what
//! valgrind knows. Needs valgrind, and `cargo install gungraun-runner` in the version of the crate; nothing else does.

#![expect(missing_docs, reason = "what gungraun's macros make has none")]

mod support;

use std::hint::black_box;

use gungraun::prelude::*;
use wiz_context::domain::{LedgerEntry, WantedAddress};
use wiz_context::pipeline::{Comparison, ReportFacts, compare};

fn plain() -> Vec<u8> {
    support::report(5_000, 200)
}

fn gzip() -> Vec<u8> {
    support::gzip(&plain())
}

fn account() -> (Vec<WantedAddress>, Vec<LedgerEntry>) {
    let wanted = support::wanted(&plain());
    let ledger = support::ledger(&wanted);
    (wanted, ledger)
}

#[library_benchmark]
#[bench::plain(plain())]
#[bench::gzip(gzip())]
fn read_and_fold(report: Vec<u8>) -> ReportFacts {
    black_box(support::read(&report))
}

#[library_benchmark]
#[bench::each_tenth_pair_differs(account())]
fn plan((wanted, ledger): (Vec<WantedAddress>, Vec<LedgerEntry>)) -> Comparison {
    black_box(compare(&wanted, &ledger))
}

library_benchmark_group!(name = hot_path, benchmarks = [read_and_fold, plan]);
main!(library_benchmark_groups = hot_path);
