//! The scanner and the `csv` crate read the same rows, or find the same error: any bytes, in any pieces.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| wiz_context::pipeline::hold_scanner_to_csv(input));
