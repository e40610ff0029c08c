//! The log: what goes into it, and how it looks.

use std::any::Any;
use std::io::{self, IsTerminal as _, Write as _};
use std::str::FromStr;

use anyhow::Context as _;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

/// The service's own target.
const OWN: &str = "wiz_context";

/// What others write for those who run a service.
const OTHERS: LevelFilter = LevelFilter::WARN;

/// The most that others may write. Beyond it libraries show what they send and receive, which is where secrets are.
const MOST_OF_OTHERS: LevelFilter = LevelFilter::DEBUG;

/// How the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: an object a line.
    Json,
}

/// What goes into the log: a level for the service's own lines, `target=level` for others, separated by commas.
#[derive(Clone, Debug, PartialEq)]
pub struct LogFilter(Targets);

/// The log's settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogSettings {
    /// What goes into it. Default: the service's own lines from `info` on, and warnings of others.
    pub filter: LogFilter,
    /// How it looks. Default: text.
    pub format: LogFormat,
}

impl LogFilter {
    fn new(own: LevelFilter) -> Self {
        Self(Targets::new().with_default(own.min(OTHERS)).with_target(OWN, own))
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self::new(LevelFilter::INFO)
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let level = |text: &str| {
            let level = text.trim().parse::<LevelFilter>();
            level.map_err(|_| format!("`{text}` is not a level; use error, warn, info, debug, trace or off"))
        };
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let (named, bare): (Vec<_>, Vec<_>) = parts.partition(|part| part.contains('='));
        let mut filter = match bare.as_slice() {
            [] => Self::default(),
            [own] => Self::new(level(own)?),
            [_, second, ..] => {
                return Err(format!(
                    "`{second}` is a second level; write target=level for others"
                ));
            }
        };
        for (target, wanted) in named.into_iter().filter_map(|part| part.split_once('=')) {
            let (target, mut wanted) = (target.trim(), level(wanted)?);
            if target.is_empty() {
                return Err("a level has no target; write target=level, or the level alone".to_owned());
            }
            if target != OWN && !target.starts_with("wiz_context::") {
                wanted = wanted.min(MOST_OF_OTHERS);
            }
            filter.0 = filter.0.with_target(target, wanted);
        }
        Ok(filter)
    }
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("not a form of the log; use `text` or `json`"),
        }
    }
}

/// Begins to write the log of this process, to standard error.
///
/// # Errors
/// When the process has a log already.
pub fn start(settings: &LogSettings) -> anyhow::Result<()> {
    let in_colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    Registry::default()
        .with(layer(settings, io::stderr, in_colour))
        .try_init()
        .context("the log cannot be set up")?;
    std::panic::set_hook(Box::new(|panic| {
        log_panic(panic.payload(), panic.location().map(ToString::to_string));
    }));
    Ok(())
}

/// Tells of panics on standard error as the log does, for commands that open secrets and have no log.
pub fn shorten_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let said = without_values(panic.payload());
        // Nobody is there to be told that nobody reads it.
        let _ = writeln!(io::stderr(), "wiz-context: a panic at {place}: {said}");
    }));
}

fn log_panic(payload: &(dyn Any + Send), place: Option<String>) {
    let (place, said) = (place.unwrap_or_default(), without_values(payload));
    tracing::error!(place, said, "a panic");
}

/// What a panic says, only where it stands in the code as it is: a message that was put together may carry any value, a
/// secret too.
fn without_values(payload: &(dyn Any + Send)) -> &'static str {
    let said = payload.downcast_ref::<&'static str>().copied();
    said.unwrap_or("its message is not shown, since it may carry values")
}

fn layer<S, W>(settings: &LogSettings, writer: W, in_colour: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(in_colour);
    let filter = settings.filter.0.clone();
    match settings.format {
        LogFormat::Text => layer.with_filter(filter).boxed(),
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_current_span(false);
            layer.with_filter(filter).boxed()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of the lines that `log` writes.
    fn written(filter: &str, format: LogFormat, log: impl FnOnce()) -> String {
        let settings = LogSettings {
            filter: filter.parse().unwrap(),
            format,
        };
        let written = Written::default();
        let writer = written.clone();
        let subscriber = Registry::default().with(layer(&settings, move || writer.clone(), false));
        tracing::subscriber::with_default(subscriber, log);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn lines(filter: &str) -> Vec<&'static str> {
        let text = written(filter, LogFormat::Text, || {
            tracing::trace!("own-trace");
            tracing::debug!("own-debug");
            tracing::info!("own-info");
            tracing::trace!(target: "sqlx", "sql-trace");
            tracing::debug!(target: "sqlx", "sql-debug");
            tracing::info!(target: "sqlx", "sql-info");
            tracing::warn!(target: "sqlx", "sql-warn");
        });
        let all = [
            "own-trace",
            "own-debug",
            "own-info",
            "sql-trace",
            "sql-debug",
            "sql-info",
            "sql-warn",
        ];
        all.into_iter().filter(|line| text.contains(line)).collect()
    }

    #[test]
    fn a_level_is_for_the_services_own_lines_and_others_have_to_be_named() {
        assert_eq!(lines(""), ["own-info", "sql-warn"]);
        assert_eq!(lines("trace"), ["own-trace", "own-debug", "own-info", "sql-warn"]);
        assert_eq!(lines("ERROR"), [""; 0]);
        assert_eq!(lines("warn,sqlx=info"), ["sql-info", "sql-warn"]);
        assert_eq!(
            lines("wiz_context::telemetry=debug"),
            ["own-debug", "own-info", "sql-warn"]
        );
    }

    #[test]
    fn others_never_write_all_they_know() {
        assert_eq!(lines("off,sqlx=trace"), ["sql-debug", "sql-info", "sql-warn"]);
        assert_eq!(lines("off,s=trace"), ["sql-debug", "sql-info", "sql-warn"]);
    }

    #[test]
    fn what_is_no_filter_is_refused_with_the_part_that_is_wrong() {
        for (text, part) in [
            ("verbose", "`verbose`"),
            ("info,debug", "`debug`"),
            ("sqlx=x", "`x`"),
            ("=info", "target"),
        ] {
            let refused = text.parse::<LogFilter>().unwrap_err();
            assert!(refused.contains(part), "{refused}");
        }
    }

    #[test]
    fn json_is_an_object_a_line_with_the_fields_at_its_top() {
        let text = written("info", LogFormat::Json, || {
            let span = tracing::info_span!("run", id = 7);
            span.in_scope(|| tracing::info!(address = "here", "listening"));
        });
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(line["message"], "listening");
        assert_eq!(line["address"], "here");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["spans"][0]["id"], 7);
    }

    #[test]
    fn a_panic_is_told_with_its_place_and_without_values() {
        let told = |payload: Box<dyn std::any::Any + Send>| {
            written("info", LogFormat::Text, || {
                log_panic(&*payload, Some("src/here.rs:7:1".to_owned()));
            })
        };
        let secret = crate::domain::ClientSecret::new("planted");
        let plain = std::panic::catch_unwind(|| panic!("as it stands in the code")).unwrap_err();
        let put_together = std::panic::catch_unwind(|| panic!("refused: {}", secret.expose())).unwrap_err();
        let text = told(plain);
        assert!(
            text.contains("src/here.rs:7:1") && text.contains("as it stands in the code"),
            "{text}"
        );
        let text = told(put_together);
        assert!(
            text.contains("src/here.rs:7:1") && !text.contains("planted"),
            "{text}"
        );
    }
}
