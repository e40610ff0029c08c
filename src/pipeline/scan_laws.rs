//! The laws of the scanner: it reads as the `csv` crate does, in any pieces, and its memory stays small.

use std::io::{self, Read};
use std::path::Path;

use proptest::prelude::*;

use super::ReportError;
use super::error::MAX_CELL_BYTES;
use super::part::InPlace;
use super::reference::{MIN_PART_BYTES, hold_scanner_to_csv, hold_to_reference, scan};
use super::scan::Scanner;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_reads_as_the_csv_crate_reads_it(
        text in prop_oneof![
            r#"(\u{feff})?[ab",\r\n]{0,80}"#,
            // Three columns, and mostly rows.
            r#"a,b,c(\r?\n([a-z ]{0,90}|"([a-z,\r\n]|""){0,90}"[a-z"]?),([ab]{0,300}|"[ab,\n]{0,9}"),[ab"]{0,9}){0,12}\n?[a,"]{0,3}"#,
        ],
        part_bytes in prop_oneof![MIN_PART_BYTES..400, Just(128 << 10)],
        pieces in prop::collection::vec(1_usize..200, 1..5),
        at_once in 1_usize..40,
    ) {
        hold_to_reference(text.as_bytes(), part_bytes, pieces, at_once);
    }

    #[test]
    fn any_bytes_read_as_the_csv_crate_reads_them(input in prop::collection::vec(any::<u8>(), 0..400)) {
        hold_scanner_to_csv(&input);
    }
}

#[test]
fn the_seeds_of_the_fuzzing_read_as_the_csv_crate_reads_them() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/scanner");
    let seeds: Vec<_> = seeds
        .read_dir()
        .unwrap()
        .map(|seed| std::fs::read(seed.unwrap().path()).unwrap())
        .collect();
    assert!(seeds.len() > 5);
    for seed in seeds {
        hold_scanner_to_csv(&seed);
        // The same text in parts of every size, so that each of its bytes is once the last one of a part.
        for part_bytes in MIN_PART_BYTES..=seed.len() {
            hold_to_reference(&seed[3..], part_bytes, vec![usize::MAX], 7);
        }
    }
}

/// A report with one row whose second cell has so many bytes, in a column that is not read; or in one that is.
fn with_cell(bytes: usize, is_read: bool) -> impl Read {
    let (front, back) = if is_read {
        ("a,b,c\n1,2,", "\n")
    } else {
        ("a,b,c\n1,", ",3\n")
    };
    let cell = io::repeat(b'x').take(bytes as u64);
    front.as_bytes().chain(cell).chain(back.as_bytes())
}

#[test]
fn a_cell_that_is_not_read_costs_no_memory() {
    let mut scanner = Scanner::new(InPlace::new(with_cell(100 << 20, false), 4096));
    let () = scanner.header(|_| Ok(((), vec![true, false, true]))).unwrap();
    let record = scanner.read_records(1).unwrap().iter().next().unwrap();
    assert_eq!((record.raw(0), record.raw(2)), (&b"1"[..], &b"3"[..]));
    assert!(scanner.seam_bytes() < 1000, "{}", scanner.seam_bytes());
}

#[test]
fn a_line_of_one_cell_that_is_not_read_is_not_blank() {
    let text = ["a,b,c\n", &"x".repeat(1000), "\n"].concat();
    for part_bytes in [64, 4096] {
        let mut scanner = Scanner::new(InPlace::new(text.as_bytes(), part_bytes));
        let () = scanner.header(|_| Ok(((), vec![false, false, true]))).unwrap();
        let result = scanner.read_records(1).map(|_| ());
        let expected = ReportError::RowTooShort {
            row: 1,
            cells: 1,
            columns: 3,
        };
        assert_eq!(result.unwrap_err().to_string(), expected.to_string());
    }
}

#[test]
fn a_cell_that_is_read_has_a_bound_however_it_comes() {
    for part_bytes in [64, 128 << 10, 4 << 20] {
        let read = |bytes| scan(Scanner::new(InPlace::new(with_cell(bytes, true), part_bytes)), 9);
        let (rows, problem) = read(MAX_CELL_BYTES);
        assert_eq!((rows.len(), problem), (1, None));
        for bytes in [MAX_CELL_BYTES + 1, 100 << 20] {
            let (_, problem) = read(bytes);
            assert_eq!(problem, Some(ReportError::CellTooLong { row: 1 }.to_string()));
        }
    }
}

#[test]
fn a_cell_of_a_hundred_megabytes_is_an_error_and_not_an_allocation() {
    let mut scanner = Scanner::new(InPlace::new(with_cell(100 << 20, true), 64 << 10));
    let () = scanner.header(|_| Ok(((), vec![true; 3]))).unwrap();
    let result = scanner.read_records(9).map(|_| ());
    assert!(
        matches!(result, Err(ReportError::CellTooLong { row: 1 })),
        "{result:?}"
    );
    assert!(
        scanner.seam_bytes() < 4 * MAX_CELL_BYTES,
        "{}",
        scanner.seam_bytes()
    );
}

#[test]
fn what_never_ends_is_an_error_and_not_an_allocation() {
    let scan = |text: &[u8], rest| {
        scan(
            Scanner::new(InPlace::new(text.chain(io::repeat(rest)), 64 << 10)),
            9,
        )
    };
    assert_eq!(scan(b"", b'x').1, Some(ReportError::HeaderTooLong.to_string()));
    let row_too_long = ReportError::RowTooLong { row: 1, columns: 3 }.to_string();
    assert_eq!(scan(b"a,b,c\n", b',').1, Some(row_too_long));
}
