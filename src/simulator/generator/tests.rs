use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn report(settings: GeneratorSettings) -> Vec<u8> {
    let mut csv = Vec::new();
    settings.write(&mut csv).unwrap();
    csv
}

fn records(csv: &[u8]) -> (Vec<String>, Vec<BTreeMap<String, String>>) {
    let mut reader = csv::Reader::from_reader(csv);
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = reader.records().map(|row| {
        header
            .iter()
            .cloned()
            .zip(row.unwrap().iter().map(str::to_owned))
            .collect()
    });
    let rows = rows.collect();
    (header, rows)
}

#[test]
fn the_same_settings_give_the_same_report_and_another_seed_another() {
    let settings = GeneratorSettings::default();
    assert_eq!(report(settings), report(settings));
    assert_ne!(
        report(settings),
        report(GeneratorSettings { seed: 2, ..settings })
    );
}

#[test]
fn a_selection_equals_the_columns_of_the_full_report() {
    let settings = GeneratorSettings {
        header: Header::Full49,
        ..GeneratorSettings::default()
    };
    let (_, full) = records(&report(settings));
    let columns = [
        Column::IpAddresses,
        Column::Name,
        Column::Tags,
        Column::VendorScore,
        Column::Description,
    ];
    let excerpt = Excerpt {
        columns: &columns,
        statuses: &[Status::Open],
        rows: u64::MAX,
    };
    let mut csv = Vec::new();
    let rows = settings.write_excerpt(excerpt, &mut csv).unwrap();
    let (header, selected) = records(&csv);
    assert_eq!(header, columns.map(|column| column.to_string()));
    let expected: Vec<BTreeMap<String, String>> = full
        .into_iter()
        .filter(|row| Status::read(&row["FindingStatus"]) == Status::Open)
        .map(|row| {
            row.into_iter()
                .filter(|(name, _)| header.contains(name))
                .collect()
        })
        .collect();
    assert_eq!(selected, expected);
    assert_eq!(rows, u64::try_from(selected.len()).unwrap());
}

#[test]
fn a_report_has_what_makes_real_ones_hard_to_read() {
    let settings = GeneratorSettings {
        findings: 20_000,
        assets: 1_000,
        header: Header::Full49,
        ..GeneratorSettings::default()
    };
    let csv = report(settings);
    let (_, rows) = records(&csv);
    assert_eq!(rows.len(), 20_000);
    let bytes_a_row = csv.len() / rows.len();
    assert!(
        (1_040..=1_140).contains(&bytes_a_row),
        "{bytes_a_row} bytes a row"
    );

    let seen = |column: &str, is: &dyn Fn(&str) -> bool| rows.iter().any(|row| is(&row[column]));
    for text in [
        "",
        "; ",
        " | ",
        "[\"",
        "2001:db8:",
        "::ffff:",
        "/32",
        "127.0.0.1",
        "n/a",
        "fe80::",
        "\n",
    ] {
        assert!(
            seen("IpAddresses", &|cell| cell.contains(text)),
            "no address cell with {text:?}"
        );
    }
    assert!(seen("IpAddresses", &str::is_empty) && seen("AssetID", &str::is_empty));
    assert!(seen("Name", &|cell| cell.starts_with("GHSA-")) && seen("Score", &|cell| cell.contains(',')));
    assert!(seen("Score", &str::is_empty) && seen("CVEDescription", &|cell| cell.contains('\n')));
    assert!(
        rows.iter()
            .any(|row| row["AssetID"].is_empty() && row["ProviderUniqueId"].is_empty())
    );
    let tags = &rows[0]["Tags"];
    assert!(serde_json::from_str::<serde_json::Value>(tags).is_ok(), "{tags}");

    let statuses: BTreeSet<_> = rows.iter().map(|row| row["FindingStatus"].as_str()).collect();
    assert_eq!(statuses.len(), 10);
    let mut of_cve: BTreeMap<&str, u32> = BTreeMap::new();
    let mut of_both: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for row in &rows {
        *of_cve.entry(&row["Name"]).or_default() += 1;
        *of_both.entry((&row["Name"], &row["AssetName"])).or_default() += 1;
    }
    assert!(of_cve.values().max().unwrap() > &500 && of_cve.values().min().unwrap() == &1);
    assert!(of_both.values().max().unwrap() > &3);
}

#[test]
fn assets_do_not_share_addresses_by_accident() {
    let settings = GeneratorSettings {
        findings: 5_000,
        assets: 1_000,
        ..GeneratorSettings::default()
    };
    let (_, rows) = records(&report(settings));
    let mut owners: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in rows
        .iter()
        .filter(|row| row["IpAddresses"].parse::<std::net::IpAddr>().is_ok())
    {
        owners
            .entry(&row["IpAddresses"])
            .or_default()
            .insert(&row["AssetName"]);
    }
    assert!(owners.values().all(|owners| owners.len() == 1));
}

#[test]
fn a_day_changes_about_one_row_in_fifty() {
    let settings = GeneratorSettings::default();
    let (_, today) = records(&report(settings));
    let (_, tomorrow) = records(&report(GeneratorSettings { day: 1, ..settings }));
    let changed = today
        .iter()
        .zip(&tomorrow)
        .filter(|(before, after)| before != after)
        .count();
    assert!((20..=120).contains(&changed), "{changed} of 3,000 rows changed");
}
