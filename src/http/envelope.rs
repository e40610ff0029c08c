//! The envelope of answers: `{"meta":{"code","count"},"data"}`, as Fusion's own calls have it.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::RunRecord;

/// What an answer says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Meta {
    /// The HTTP status.
    #[schema(example = 200)]
    pub(super) code: u16,
    /// How many records `data` holds; an object is one.
    #[schema(example = 1)]
    pub(super) count: usize,
    /// The cursor of the next page; absent on the last and where there are no pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

/// An answer with its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Envelope<T> {
    /// What the answer says of itself.
    pub(super) meta: Meta,
    /// The record, or the records.
    pub(super) data: T,
}

/// An answer with its data, and the run that the call started or joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct RunEnvelope<T> {
    /// What the answer says of itself.
    pub(super) meta: Meta,
    /// The records.
    pub(super) data: T,
    /// The run, its whole record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<RunRecord>,
}

/// An answer on its way: status, envelope and headers.
#[derive(Debug)]
pub(super) struct Answer<T> {
    status: StatusCode,
    headers: HeaderMap,
    body: T,
}

impl<T: Serialize> Answer<Envelope<T>> {
    /// One record.
    pub(super) fn one(data: T) -> Self {
        let meta = Meta {
            code: 200,
            count: 1,
            next: None,
        };
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Envelope { meta, data },
        }
    }
}

impl<T: Serialize> Answer<Envelope<T>> {
    /// One record that was just made.
    pub(super) fn created(data: T) -> Self {
        let mut answer = Self::one(data);
        answer.status = StatusCode::CREATED;
        answer.body.meta.code = 201;
        answer
    }
}

impl<T: Serialize> Answer<Envelope<Vec<T>>> {
    /// A page of records, with the cursor of the next.
    pub(super) fn page(data: Vec<T>, next: Option<String>) -> Self {
        let meta = Meta {
            code: 200,
            count: data.len(),
            next,
        };
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Envelope { meta, data },
        }
    }
}

impl<T: Serialize> Answer<RunEnvelope<Vec<T>>> {
    /// Records, and the run that the call started or joined.
    pub(super) fn with_run(status: StatusCode, data: Vec<T>, run: Option<RunRecord>) -> Self {
        let meta = Meta {
            code: status.as_u16(),
            count: data.len(),
            next: None,
        };
        Self {
            status,
            headers: HeaderMap::new(),
            body: RunEnvelope { meta, data, run },
        }
    }
}

impl<T> Answer<T> {
    /// With a header.
    ///
    /// # Panics
    /// When the value has characters that no header takes; those given here are URLs and tags of this service.
    pub(super) fn header(mut self, name: header::HeaderName, value: impl AsRef<str>) -> Self {
        let value = value
            .as_ref()
            .parse()
            .expect("URLs and tags of this service fit into a header");
        self.headers.insert(name, value);
        self
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.body).expect("plain data has a JSON form");
        (
            self.status,
            self.headers,
            [(header::CONTENT_TYPE, "application/json")],
            body,
        )
            .into_response()
    }
}
