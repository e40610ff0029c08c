//! One batch, sent so that a bad record keeps no good one back: a refused batch is halved until the bad ones stand alone.

use std::collections::VecDeque;

use super::error::{FusionError, Problem};
use super::{Acknowledged, FusionClient};
use crate::domain::{LabelRecord, Pair};

/// When so many records were refused alone and none of the batch was taken, the records are not what is wrong.
const MAX_REFUSED_ALONE: usize = 32;

/// What became of each pair of a batch.
#[derive(Debug, Default)]
pub struct PushOutcome {
    /// Fusion did what was asked for these.
    pub acknowledged: Vec<Pair>,
    /// Fusion refuses these for their content, and says why. What it holds for them is as before.
    pub rejected: Vec<(Pair, String)>,
    /// What Fusion holds for these is not known, or as before: they have to be sent again.
    pub unsettled: Vec<Pair>,
    /// Whether Fusion counted other numbers than were sent, which is worth a warning.
    pub count_differs: bool,
    /// Why there are unsettled pairs.
    pub error: Option<FusionError>,
}

/// A part of a batch, of either call.
#[derive(Clone, Copy)]
enum Part<'a> {
    Labels(&'a [LabelRecord]),
    Removals(&'a [Pair]),
}

impl<'a> Part<'a> {
    const fn len(self) -> usize {
        match self {
            Self::Labels(records) => records.len(),
            Self::Removals(pairs) => pairs.len(),
        }
    }

    fn halves(self) -> [Self; 2] {
        let half = self.len() / 2;
        match self {
            Self::Labels(records) => [&records[..half], &records[half..]].map(Self::Labels),
            Self::Removals(pairs) => [&pairs[..half], &pairs[half..]].map(Self::Removals),
        }
    }

    fn pairs(self) -> impl Iterator<Item = Pair> + use<'a> {
        let (records, pairs): (&[LabelRecord], &[Pair]) = match self {
            Self::Labels(records) => (records, &[]),
            Self::Removals(pairs) => (&[], pairs),
        };
        records
            .iter()
            .map(|record| record.pair)
            .chain(pairs.iter().copied())
    }

    async fn send(self, client: &FusionClient) -> Result<Acknowledged, FusionError> {
        match self {
            Self::Labels(records) => client.put(records).await,
            Self::Removals(pairs) => client.delete(pairs).await,
        }
    }

    const fn purpose(self) -> &'static str {
        match self {
            Self::Labels(_) => "write labels in Fusion",
            Self::Removals(_) => "delete labels in Fusion",
        }
    }
}

impl FusionClient {
    /// Writes one batch, within the limits of [`FusionClient::put`]. The pairs are in doubt from the call on; the outcome
    /// settles them.
    pub async fn push_labels(&self, records: &[LabelRecord]) -> PushOutcome {
        self.push(Part::Labels(records)).await
    }

    /// Deletes one batch, within the limit of [`FusionClient::delete`]. The pairs are in doubt from the call on; the outcome
    /// settles them.
    pub async fn push_removals(&self, pairs: &[Pair]) -> PushOutcome {
        self.push(Part::Removals(pairs)).await
    }

    async fn push(&self, batch: Part<'_>) -> PushOutcome {
        let mut outcome = PushOutcome::default();
        // Large parts first: when the records are not what is wrong, that shows before each is tried alone.
        let mut parts = VecDeque::from([batch]);
        while let Some(part) = parts.pop_front() {
            if part.len() == 0 {
                continue;
            }
            match part.send(self).await {
                Ok(Acknowledged { count }) => {
                    outcome.count_differs |= count.is_some_and(|count| count != part.len() as u64);
                    outcome.acknowledged.extend(part.pairs());
                }
                Err(error) => match error.refused_content() {
                    Some(words) if part.len() == 1 => {
                        let words = words.to_owned();
                        outcome
                            .rejected
                            .extend(part.pairs().map(|pair| (pair, words.clone())));
                        let count = outcome.rejected.len();
                        if count == MAX_REFUSED_ALONE && outcome.acknowledged.is_empty() && !parts.is_empty()
                        {
                            let problem = Problem::AllRefused { count, text: words };
                            return outcome.ended(problem.when(part.purpose()), parts);
                        }
                    }
                    Some(_) => parts.extend(part.halves()),
                    None => {
                        parts.push_front(part);
                        return outcome.ended(error, parts);
                    }
                },
            }
        }
        outcome
    }
}

impl PushOutcome {
    fn ended<'a>(mut self, error: FusionError, rest: impl IntoIterator<Item = Part<'a>>) -> Self {
        self.unsettled.extend(rest.into_iter().flat_map(Part::pairs));
        self.error = Some(error);
        self
    }
}
