//! What a history watches through the log: each poll of a run's tasks enters the run's span, and each call has one.

use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

/// What was seen of a history so far.
#[derive(Default)]
pub(crate) struct Watch {
    /// Polls of tasks that work on runs.
    polls: AtomicU64,
    /// The number of the poll to interrupt after; none when 0.
    interrupt_at: AtomicU64,
    interrupts: AtomicBool,
    /// The call to interrupt in.
    interrupts_in: Mutex<Option<InCall>>,
    runs_ended: AtomicU64,
    point: Mutex<Point>,
    errors: Mutex<Vec<String>>,
    /// Nothing is seen for the moment.
    looks_away: AtomicBool,
    shows: bool,
}

/// Some polls after the beginning of a call.
struct InCall {
    call: String,
    polls: u64,
}

/// How far a run has come.
#[derive(Default)]
struct Point {
    call: String,
    answered: bool,
    polls_since: u64,
}

impl Watch {
    /// Begins to watch what this thread does, until the guard is dropped.
    pub(crate) fn begin(shows: bool) -> (Arc<Self>, DefaultGuard) {
        let watch = Arc::new(Self {
            shows,
            ..Self::default()
        });
        let filter = Targets::new()
            .with_target("wiz_context", LevelFilter::DEBUG)
            .with_default(LevelFilter::WARN);
        let layer = Watcher(Arc::clone(&watch)).with_filter(filter);
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        (watch, guard)
    }

    /// Interrupts after so many more polls.
    pub(crate) fn interrupt_after(&self, polls: u64) {
        self.interrupt_at
            .store(self.polls() + polls.max(1), Ordering::SeqCst);
    }

    /// Interrupts so many polls after the next call of this name begins.
    pub(crate) fn interrupt_in(&self, call: &str, polls: u64) {
        let call = call.to_owned();
        *self.interrupts_in.lock().unwrap() = Some(InCall { call, polls });
    }

    fn call_begins(&self, name: &str) {
        let mut interrupts_in = self.interrupts_in.lock().unwrap();
        if let Some(InCall { polls, .. }) = interrupts_in.take_if(|awaited| awaited.call == name) {
            match polls {
                0 => self.interrupts.store(true, Ordering::SeqCst),
                polls => self.interrupt_after(polls),
            }
        }
    }

    /// Does something that nobody is to see: the end of a process logs nothing.
    pub(crate) fn look_away(&self, work: impl FnOnce()) {
        self.looks_away.store(true, Ordering::SeqCst);
        work();
        self.looks_away.store(false, Ordering::SeqCst);
    }

    /// Whether it interrupts now.
    pub(crate) fn interrupts(&self) -> bool {
        self.interrupts.load(Ordering::SeqCst)
    }

    /// Does not interrupt any more.
    pub(crate) fn go_on(&self) {
        drop(self.interrupts_in.lock().unwrap().take());
        self.interrupt_at.store(0, Ordering::SeqCst);
        self.interrupts.store(false, Ordering::SeqCst);
    }

    pub(crate) fn polls(&self) -> u64 {
        self.polls.load(Ordering::SeqCst)
    }

    pub(crate) fn runs_ended(&self) -> u64 {
        self.runs_ended.load(Ordering::SeqCst)
    }

    /// Where runs stand: the last call, whether it is answered, and the polls since.
    pub(crate) fn point(&self) -> String {
        let point = self.point.lock().unwrap();
        let answered = if point.answered { "answered" } else { "under way" };
        format!("{} {answered}, {} polls later", point.call, point.polls_since)
    }

    /// What was logged as an error.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap().clone()
    }

    pub(crate) fn say(&self, text: impl FnOnce() -> String) {
        if self.shows {
            println!("{}", text());
        }
    }
}

struct Watcher(Arc<Watch>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Watcher {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        if attributes.metadata().name() == "http.request" {
            let mut call = CallName::default();
            attributes.record(&mut call);
            self.0.call_begins(&call.0);
            *self.0.point.lock().unwrap() = Point {
                call: call.0,
                ..Point::default()
            };
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if is_named(context.span(&id).map(|span| span.metadata()), "http.request") {
            let mut point = self.0.point.lock().unwrap();
            (point.answered, point.polls_since) = (true, 0);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if is_named(context.span(id).map(|span| span.metadata()), "run") {
            let polls = self.0.polls.fetch_add(1, Ordering::SeqCst) + 1;
            if polls == self.0.interrupt_at.load(Ordering::SeqCst) {
                self.0.interrupts.store(true, Ordering::SeqCst);
            }
            self.0.point.lock().unwrap().polls_since += 1;
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if self.0.looks_away.load(Ordering::SeqCst) {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        if text.0.contains("the run ended") {
            self.0.runs_ended.fetch_add(1, Ordering::SeqCst);
        }
        if *event.metadata().level() == Level::ERROR {
            self.0.errors.lock().unwrap().push(text.0.clone());
        }
        self.0
            .say(|| format!("    {} {}", event.metadata().level(), text.0));
    }
}

fn is_named(metadata: Option<&Metadata<'_>>, name: &str) -> bool {
    metadata.is_some_and(|metadata| metadata.name() == name && metadata.target().starts_with("wiz_context"))
}

#[derive(Default)]
struct CallName(String);

impl Visit for CallName {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "call" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?} "),
            name => write!(self.0, "{name}={value:?} "),
        };
    }
}
