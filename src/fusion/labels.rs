//! The label calls: bulk PUT, bulk DELETE, and what an address holds.

use reqwest::Method;
use serde::Deserialize;

use super::FusionClient;
use super::client::Request;
use super::error::{FusionError, Problem};
use crate::domain::{Address, Context, LabelRecord, Pair};
use crate::outgoing::{Answer, SendError};

const BULK: [&str; 3] = ["labels", "ips", "bulk"];

/// Fusion says that a call was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// How many documents Fusion counts; it may count those that did not change as none. `None` when it does not tell.
    pub count: Option<u64>,
}

/// What Fusion holds for one context of an address, whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HeldLabels {
    /// The context.
    pub context: String,
    /// Its labels, as they are.
    pub labels: Vec<String>,
}

/// The most records that an answer carries.
const MOST_ANSWERED: usize = 1_000;

#[derive(Deserialize)]
struct AddressLabels {
    ip: String,
    labels: Vec<String>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counted {
    meta: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    count: Option<u64>,
}

impl FusionClient {
    /// Writes the values of pairs, in place of what they hold. At most 10,000 records with
    /// 10,000 labels; no pair twice.
    ///
    /// # Errors
    /// When the labels are not acknowledged: then Fusion may hold the old values or the new ones.
    pub async fn put(&self, records: &[LabelRecord]) -> Result<Acknowledged, FusionError> {
        let request = Request {
            name: "fusion.put_labels",
            purpose: "write labels in Fusion",
            method: Method::PUT,
            segments: &BULK,
            success: 201,
        };
        Ok(acknowledged(&self.call(&request, Some(&records)).await?))
    }

    /// Deletes the values of pairs. At most 10,000.
    ///
    /// # Errors
    /// When the deletion is not acknowledged: then Fusion may hold the old values or none.
    pub async fn delete(&self, pairs: &[Pair]) -> Result<Acknowledged, FusionError> {
        let request = Request {
            name: "fusion.delete_labels",
            purpose: "delete labels in Fusion",
            method: Method::DELETE,
            segments: &BULK,
            success: 200,
        };
        Ok(acknowledged(&self.call(&request, Some(&pairs)).await?))
    }

    /// What Fusion holds for an address, in all contexts, other products' too; sorted by context.
    ///
    /// # Errors
    /// When Fusion cannot be asked, or refuses.
    pub async fn labels_of(&self, ip: Address) -> Result<Vec<HeldLabels>, FusionError> {
        let ip = ip.to_string();
        let request = Request {
            name: "fusion.read_labels",
            purpose: "read labels of Fusion",
            method: Method::GET,
            segments: &["labels", "ips", &ip],
            success: 200,
        };
        let answer = match self.call(&request, None::<&()>).await {
            Err(FusionError {
                problem: Problem::Refused { status: 404, .. },
                ..
            }) => return Ok(Vec::new()),
            answer => answer?,
        };
        let unreadable = |_| Problem::Unreadable("not label records").when(request.purpose);
        let held: Envelope<Option<Vec<HeldLabels>>> =
            serde_json::from_slice(&answer.body).map_err(unreadable)?;
        let mut held = held.data.unwrap_or_default();
        held.sort_by(|a, b| a.context.cmp(&b.context));
        Ok(held)
    }

    /// What Fusion holds for a context at all addresses, other products' too; `None` when that is more than one answer
    /// carries. What stands at an address that could not carry a label of this service is left out.
    ///
    /// # Errors
    /// When Fusion cannot be asked, or refuses.
    pub async fn labels_in(
        &self,
        context: Context,
    ) -> Result<Option<Vec<(Address, Vec<String>)>>, FusionError> {
        let request = Request {
            name: "fusion.read_context",
            purpose: "read labels of Fusion",
            method: Method::GET,
            segments: &["labels", "ips", "all", context.as_str()],
            success: 200,
        };
        let answer = match self.call(&request, None::<&()>).await {
            Err(FusionError {
                problem: Problem::Refused { status: 404, .. },
                ..
            }) => return Ok(Some(Vec::new())),
            Err(FusionError {
                problem: Problem::NoAnswer(SendError::TooLarge { .. }),
                ..
            }) => return Ok(None),
            answer => answer?,
        };
        let unreadable = |_| Problem::Unreadable("not label records").when(request.purpose);
        let held: Envelope<Option<Vec<AddressLabels>>> =
            serde_json::from_slice(&answer.body).map_err(unreadable)?;
        let held = held.data.unwrap_or_default();
        if held.len() >= MOST_ANSWERED {
            return Ok(None);
        }
        let record = |record: AddressLabels| Some((Address::read(&record.ip).ok()?, record.labels));
        Ok(Some(held.into_iter().filter_map(record).collect()))
    }
}

fn acknowledged(answer: &Answer) -> Acknowledged {
    let counted: Counted = serde_json::from_slice(&answer.body).unwrap_or_default();
    Acknowledged {
        count: counted.meta.count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_where_it_is() {
        let read = |body: &'static str| {
            acknowledged(&Answer {
                status: reqwest::StatusCode::CREATED,
                body: body.into(),
                retry_after: None,
            })
            .count
        };
        assert_eq!(read(r#"{"meta":{"code":201,"count":7},"data":[]}"#), Some(7));
        for body in ["", "<html>", r#"{"data":[]}"#, r#"{"meta":{"count":"many"}}"#] {
            assert_eq!(read(body), None);
        }
    }
}
