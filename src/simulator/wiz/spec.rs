//! What a report is asked for: read from the inputs of `createReport` and `updateReport`, refused where Wiz refuses it.

use serde_json::{Map, Value, json};

use crate::simulator::generator::{Column, Status};
use crate::simulator::settings::SimulatorSettings;
use crate::simulator::source::Asked;

use super::graphql::Problem;

/// What a report was made with.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    /// The inputs that were given, in the schema's words.
    given: Map<String, Value>,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) compression: String,
    /// The same as those understand it who write the file.
    pub(super) asked: Asked,
}

impl Spec {
    /// Reads the input of `createReport`, which fits the schema already.
    pub(super) fn read(settings: &SimulatorSettings, input: &Value) -> Result<Self, Problem> {
        let given = input.as_object().cloned().unwrap_or_default();
        let text = |name: &str| {
            given
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (name, kind) = (text("name"), text("type"));
        let bad = |message: String| Err(Problem::new("BAD_USER_INPUT", message));
        if name.trim().is_empty() {
            return bad("a report needs a name".to_owned());
        }
        if kind != "VULNERABILITIES" {
            return bad(format!("the simulator makes no reports of type {kind}"));
        }
        if !matches!(text("format").as_str(), "" | "CSV")
            || !matches!(text("csvDelimiter").as_str(), "" | "US")
        {
            return bad("the simulator writes CSV with commas only".to_owned());
        }
        let filters = |name: &str| input.pointer(&format!("/vulnerabilityParams/filters/{name}"));
        let asked = Asked {
            columns: columns(settings, given.get("columnSelection"))?,
            detailed: input
                .pointer("/vulnerabilityParams/type")
                .is_some_and(|kind| kind == "DETAILED"),
            statuses: statuses(filters("status")),
            rows: u64::MAX,
        };
        let compression = Some(text("compressionMethod")).filter(|text| !text.is_empty());
        let compression = compression.unwrap_or_else(|| "NONE".to_owned());
        Ok(Self {
            given,
            name,
            kind,
            compression,
            asked,
        })
    }

    /// The same with the members of an `override` in place of the former ones.
    pub(super) fn changed(&self, settings: &SimulatorSettings, change: &Value) -> Result<Self, Problem> {
        let mut given = self.given.clone();
        given.extend(change.as_object().cloned().unwrap_or_default());
        Self::read(settings, &Value::Object(given))
    }

    /// What the schema's `Report` shows of it.
    pub(super) fn members(&self) -> Value {
        let given = |name: &str| self.given.get(name).cloned().unwrap_or_default();
        let params = given("vulnerabilityParams");
        json!({
            "name": self.name,
            "type": {"__typename": "ReportType", "id": self.kind, "name": "Vulnerabilities", "description": null},
            "columnSelection": given("columnSelection"),
            "compressionMethod": self.compression,
            "csvDelimiter": "US",
            "format": "CSV",
            "incremental": given("incremental").as_bool().unwrap_or(false),
            "runIntervalHours": given("runIntervalHours"),
            "runStartsAt": given("runStartsAt"),
            "params": {
                "__typename": "ReportParamsVulnerabilities",
                "type": params.get("type").cloned().unwrap_or_else(|| "COMPACT".into()),
                "filters": params.get("filters"),
            },
        })
    }
}

fn columns(settings: &SimulatorSettings, selection: Option<&Value>) -> Result<Vec<Column>, Problem> {
    let selection = selection.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if settings.refuse_selection && !selection.is_empty() {
        return Err(Problem::new(
            "BAD_USER_INPUT",
            "columnSelection is not available for this report",
        ));
    }
    let names = selection.iter().map(|name| name.as_str().unwrap_or_default());
    let columns = names.map(|name| match name.parse() {
        Ok(column) if !settings.refused_columns.contains(&column) => Ok(column),
        _ => Err(Problem::new(
            "BAD_USER_INPUT",
            format!("invalid column in columnSelection: {name}"),
        )),
    });
    columns.collect()
}

/// The statuses of a filter; without one only what is open comes.
fn statuses(filter: Option<&Value>) -> Vec<Status> {
    match filter.and_then(Value::as_array) {
        Some(statuses) => statuses
            .iter()
            .filter_map(Value::as_str)
            .map(Status::read)
            .collect(),
        None => vec![Status::Open],
    }
}
