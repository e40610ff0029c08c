//! What a call does when Wiz asks to slow down: it waits until all calls of the service account may go on, tells of it, and
//! is made again. That is no failure, and spends no attempt of a run.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::error::Problem;
use super::{WizClient, WizError};
use crate::domain::Timestamp;
use crate::outgoing::Repeat;

/// Hears that a client waits because Wiz asked to slow down: until when, and `None` once it goes on. The client waits for the
/// listener too, so that nothing is told too late.
pub type WaitListener = Arc<dyn Fn(Option<Timestamp>) -> BoxFuture<'static, ()> + Send + Sync>;

/// How often a call is made in a row to hear that it comes too soon. The pauses of those that are not told for how long
/// double, and come to two minutes.
const MAX_CALLS: u32 = 8;

/// The first pause of a service account that was told to slow down, but not for how long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The patience of one call.
pub(super) struct Patience<'a> {
    client: &'a WizClient,
    calls_left: u32,
    own_pause: Duration,
}

impl<'a> Patience<'a> {
    pub(super) const fn new(client: &'a WizClient) -> Self {
        Self {
            client,
            calls_left: MAX_CALLS,
            own_pause: FIRST_PAUSE,
        }
    }

    /// Waits until the service account may ask again, and tells of it. At once where nobody listens: the call itself then
    /// waits for its turn.
    pub(super) async fn wait(&self) {
        let Some(listener) = self.client.listener() else {
            return;
        };
        let limiter = self.client.limiter();
        if limiter.paused_until().is_none() {
            return;
        }
        // Another client may hear meanwhile that the pause is longer.
        while let Some(until) = limiter.paused_until() {
            listener(Some(until)).await;
            self.client.clock().sleep_until(until).await;
        }
        listener(None).await;
    }

    /// Whether the call is to be made again, after the pause that Wiz asks for, which is then everybody's.
    pub(super) fn goes_on<T>(&mut self, result: &Result<T, WizError>, repeat: Repeat) -> bool {
        let Err(error) = result else { return false };
        let Problem::Throttled(status) = error.problem else {
            return false;
        };
        let asked = error.retry_after.unwrap_or_default();
        self.client.limiter().pause(asked.max(self.own_pause));
        self.own_pause *= 2;
        self.calls_left -= 1;
        // Who is refused by the status was not heard. An error beside HTTP 200 may come after the deed.
        let undone = repeat == Repeat::Harmless || status == 429;
        self.client.listener().is_some() && undone && self.calls_left > 0
    }
}
