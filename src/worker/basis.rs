//! What a run plans with: the facts of a report, of none, or those that another run kept back.

use super::attempt::Attempt;
use super::interruption::Interruption;
use super::workers::FusionTarget;
use crate::domain::{Failure, FailureKind, Phase, Progress, Trigger};
use crate::store::FactSetId;

impl Attempt {
    /// The facts to plan with, by this attempt or an earlier one; `None`: those in force.
    pub(super) async fn basis(&mut self) -> Result<Option<FactSetId>, Interruption> {
        match self.run.record.trigger {
            Trigger::Manual | Trigger::Create | Trigger::Schedule => self.facts().await.map(Some),
            Trigger::Approval => self.facts_kept_back().await,
            Trigger::Removal => self.no_facts().await.map(Some),
            Trigger::Verify => self.verify().await.map(|()| None),
        }
    }

    /// The facts of a complete report.
    async fn facts(&mut self) -> Result<FactSetId, Interruption> {
        self.sign_in().await?;
        if let Some(facts) = self.run.checkpoint.facts {
            return Ok(facts);
        }
        let report_run = self.request_report().await?;
        let report_run = self.wait_for_report(&report_run).await?;
        self.download(&report_run).await
    }

    /// What the approved run kept back: a report without findings, or removals by facts that are in force.
    async fn facts_kept_back(&mut self) -> Result<Option<FactSetId>, Interruption> {
        self.sign_in_to_push().await?;
        match self.run.approves {
            Some(held) => Ok(self.workers.store.facts_kept_back(held).await?),
            None => Ok(None),
        }
    }

    /// The facts of an integration that is to want nothing any more.
    async fn no_facts(&mut self) -> Result<FactSetId, Interruption> {
        self.sign_in_to_push().await?;
        if let Some(facts) = self.run.checkpoint.facts {
            return Ok(facts);
        }
        let (store, now) = (self.workers.store.clone(), self.now());
        Ok(store.stage_nothing(&mut self.run, now).await?)
    }

    /// Finds out whether Fusion takes the credentials; without an account there is nothing to be done.
    pub(super) async fn sign_in_to_push(&mut self) -> Result<FusionTarget, Interruption> {
        self.show(Phase::Planning, Progress::default()).await?;
        let Some(target) = self.workers.fusion.clone() else {
            let message = "No Fusion account is set, so that no label can be changed. Set NETOSECRET and start the service \
                           again.";
            return Err(Failure::permanent(FailureKind::Credentials, message).into());
        };
        match target.client.sign_in().await {
            Err(error) if !error.failure().retryable => Err(error.into()),
            _ => Ok(target),
        }
    }
}
