//! Faults: what goes wrong, when, and how often.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Something that goes wrong.
///
/// As JSON: `{"operation":"wiz.report_file","times":1,"after":0,"effect":{"truncate":{"bytes":1000,"ending":"cut"}}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Where: `wiz.token`, `wiz.graphql`, `wiz.graphql.<field or operation name>`, `wiz.report_file`, `wiz.report_run`,
    /// `fusion.token`, `fusion.put`, `fusion.delete`, `fusion.get`. Case does not matter; a name also stands for what
    /// begins with it (`wiz` for everything of Wiz).
    pub operation: String,
    /// How many calls of the operation go well before. Default 0.
    #[serde(default)]
    pub after: u32,
    /// How many calls it meets. Default 1.
    #[serde(default = "once")]
    pub times: u32,
    /// What happens.
    pub effect: Effect,
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// The call is refused, and not carried out.
    Status(StatusFault),
    /// GraphQL: HTTP 200 with `errors`.
    ErrorIn200 {
        /// The code in `extensions.code`.
        code: String,
        /// Whether the call was carried out all the same.
        #[serde(default)]
        carried_out: bool,
    },
    /// GraphQL: HTTP 200 with `errors` beside data that lacks something. The call was carried out.
    PartialData,
    /// The connection ends before any answer; the call is not carried out.
    Cut,
    /// The call is carried out, and then the connection ends without an answer.
    ResponseLost,
    /// The answer takes longer, by the clock.
    Slow {
        /// By how many seconds.
        seconds: u64,
    },
    /// The answer takes as long as from somewhere else.
    Delay {
        /// How many milliseconds, by the clock.
        milliseconds: u64,
    },
    /// The report file ends early.
    Truncate {
        /// After how many bytes of the answer.
        bytes: u64,
        /// How that looks.
        #[serde(default)]
        ending: Ending,
    },
    /// The call is carried out, and answered with HTTP 200 without a body.
    EmptyBody,
    /// A token answer without the token.
    TokenWithoutAccessToken,
    /// The next run of a report fails. Of `wiz.report_run`, whatever the operation says; likewise those below.
    ReportFailed {
        /// What `failedReason` says.
        reason: String,
    },
    /// The next run of a report ends expired.
    ReportExpired,
    /// The next run counts so many rows more (or fewer) than its file has.
    CountPlus {
        /// How many.
        rows: i64,
    },
    /// The next run does not say how many rows it has.
    CountNull,
    /// A rerun of a report is refused because it comes too soon; nobody published how Wiz says so.
    RerunTooSoon {
        /// The code in `extensions.code`; by default `BAD_USER_INPUT`.
        #[serde(default)]
        code: Option<String>,
    },
    /// Fusion refuses bodies that hold a record of this address.
    RejectRecords {
        /// The address.
        ip: IpAddr,
    },
}

/// A refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusFault {
    /// The HTTP status.
    pub status: u16,
    /// The header `Retry-After`, in seconds.
    #[serde(default)]
    pub retry_after_s: Option<u64>,
    /// GraphQL: the code in `extensions.code`; by default the one that goes with the status.
    #[serde(default)]
    pub code: Option<String>,
    /// GraphQL: `extensions.retryAfter`, in seconds.
    #[serde(default)]
    pub extension_retry_after_s: Option<u64>,
    /// The message; by default one that fits.
    #[serde(default)]
    pub message: Option<String>,
}

/// How a file that ends early looks to the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The full length is announced, and the connection ends early; the rest can be had by a range.
    #[default]
    Cut,
    /// The shorter length is announced: the file looks whole.
    Honest,
    /// No length is announced: the file looks whole.
    Unannounced,
}

const fn once() -> u32 {
    1
}

impl Fault {
    /// A fault that meets the next call of an operation.
    pub fn new(operation: impl Into<String>, effect: Effect) -> Self {
        Self {
            operation: operation.into(),
            after: 0,
            times: 1,
            effect,
        }
    }

    /// The same fault, for the next `times` calls.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// The same fault, after `after` calls that go well.
    #[must_use]
    pub fn after(self, after: u32) -> Self {
        Self { after, ..self }
    }
}

impl Effect {
    /// A refusal with a status and nothing else.
    pub fn status(status: u16) -> Self {
        Self::Status(StatusFault {
            status,
            ..StatusFault::default()
        })
    }

    /// Whether it concerns a run of the report and not a call.
    const fn is_of_run(&self) -> bool {
        matches!(
            self,
            Self::ReportFailed { .. } | Self::ReportExpired | Self::CountPlus { .. } | Self::CountNull
        )
    }
}

/// The faults that are still to come.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn all(&self) -> &[Fault] {
        &self.0
    }

    /// The effects on a call that goes by these names, of which `concerns` says whether they apply to it at all.
    pub(super) fn of_call(&mut self, names: &[String], concerns: impl Fn(&Effect) -> bool) -> Vec<Effect> {
        self.take(|fault| {
            let operation = fault.operation.to_lowercase();
            let is_named = |name: &String| {
                let rest = name.strip_prefix(&operation);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            !fault.effect.is_of_run() && names.iter().any(is_named) && concerns(&fault.effect)
        })
    }

    /// The effects on a run of a report.
    pub(super) fn of_run(&mut self) -> Vec<Effect> {
        self.take(|fault| fault.effect.is_of_run())
    }

    fn take(&mut self, meets: impl Fn(&Fault) -> bool) -> Vec<Effect> {
        let mut effects = Vec::new();
        for fault in self.0.iter_mut().filter(|fault| meets(fault)) {
            if fault.after > 0 {
                fault.after -= 1;
            } else if fault.times > 0 {
                fault.times -= 1;
                effects.push(fault.effect.clone());
            }
        }
        self.0.retain(|fault| fault.times > 0);
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_meets_the_calls_it_names_after_and_as_often_as_it_says() {
        let mut faults = Faults::default();
        faults.add(
            Fault::new("wiz.graphql.RerunReport", Effect::Cut)
                .after(1)
                .times(2),
        );
        faults.add(Fault::new("fusion", Effect::EmptyBody));
        let rerun = [
            "wiz.graphql.rerunreport".to_owned(),
            "wiz.graphql.startagain".to_owned(),
        ];
        let met: Vec<_> = (0..4).map(|_| faults.of_call(&rerun, |_| true).len()).collect();
        assert_eq!(met, [0, 1, 1, 0]);
        assert!(
            faults
                .of_call(&["wiz.graphql.rerunreportx".to_owned()], |_| true)
                .is_empty()
        );
        assert_eq!(
            faults.of_call(&["fusion.put".to_owned()], |_| true),
            [Effect::EmptyBody]
        );
        assert!(faults.all().is_empty());
    }

    #[test]
    fn faults_of_a_run_wait_for_a_run() {
        let mut faults = Faults::default();
        faults.add(Fault::new("wiz.graphql.rerunReport", Effect::CountNull));
        assert!(
            faults
                .of_call(&["wiz.graphql.rerunreport".to_owned()], |_| true)
                .is_empty()
        );
        assert_eq!(faults.of_run(), [Effect::CountNull]);
    }

    #[test]
    fn a_fault_reads_from_json() {
        let json = r#"{"operation":"wiz.report_file","effect":{"truncate":{"bytes":9,"ending":"honest"}}}"#;
        let fault: Fault = serde_json::from_str(json).unwrap();
        let effect = Effect::Truncate {
            bytes: 9,
            ending: Ending::Honest,
        };
        assert_eq!(fault, Fault::new("wiz.report_file", effect));
        let json = r#"{"operation":"wiz","effect":"cut","times":3}"#;
        assert_eq!(
            serde_json::from_str::<Fault>(json).unwrap(),
            Fault::new("wiz", Effect::Cut).times(3)
        );
    }
}
