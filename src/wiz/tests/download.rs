//! Downloads that break, move and change.

use axum::body::{Body, Bytes};
use axum::http::Response;
use serde_json::{Value, json};

use super::FakeWiz;
use crate::domain::{Failure, FailureKind, ReportRunId};
use crate::wiz::{ReportDownload, ReportRun, WizError};

const CONTENT: &[u8] = b"0123456789";

/// An answer whose body ends with a broken connection when it is shorter than it says.
fn answer(status: u16, headers: &[(&str, &str)], body: &'static [u8]) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    let pieces = [Ok(Bytes::from_static(body)), Err(std::io::Error::other("cut"))];
    let says = headers.iter().find(|(name, _)| *name == "content-length");
    let is_cut = says.is_some_and(|(_, length)| length.parse() != Ok(body.len()));
    let pieces = pieces.into_iter().take(if is_cut { 2 } else { 1 });
    // The pause lets what was written reach the wire before the connection is torn down.
    let stream = futures_util::stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.next()?;
        if piece.is_err() {
            for _ in 0..64 {
                tokio::task::yield_now().await;
            }
        }
        Some((piece, pieces))
    });
    response.body(Body::from_stream(stream)).unwrap()
}

fn whole(body: &'static [u8]) -> Response<Body> {
    answer(200, &[("content-length", "10"), ("etag", "\"v1\"")], body)
}

/// The rest from the fourth byte on.
fn rest() -> Response<Body> {
    let headers = [
        ("content-length", "6"),
        ("content-range", "bytes 4-9/10"),
        ("etag", "\"v1\""),
    ];
    answer(206, &headers, &CONTENT[4..])
}

impl FakeWiz {
    fn run(&self, path: &str) -> Value {
        let url = self.server.url(&format!("/file/{path}?signature=planted"));
        json!({"id": "x", "status": "COMPLETED", "progress": 100, "runAt": "2026-11-24T00:00:00Z", "url": url})
    }

    /// Asks for the run, then downloads with these answers of the storage.
    async fn download(
        &self,
        answers: impl IntoIterator<Item = Response<Body>>,
    ) -> Result<ReportDownload, WizError> {
        self.script.lock().unwrap().file_answers.extend(answers);
        let client = self.client();
        self.answers(&json!({"reportRun": self.run("first")}));
        let run: ReportRun = client.report_run(&ReportRunId::new("x")).await.unwrap().unwrap();
        client.download(&run).await
    }

    async fn read(&self, answers: impl IntoIterator<Item = Response<Body>>) -> Result<Vec<u8>, Failure> {
        let failure = |error: WizError| {
            let failure = error.failure();
            assert!(!format!("{error:?} {failure:?}").contains("planted"), "{error:?}");
            failure
        };
        let mut download = self.download(answers).await.map_err(failure)?;
        let mut content = Vec::new();
        while let Some(piece) = download.chunk().await.map_err(failure)? {
            content.extend_from_slice(&piece);
            assert_eq!(download.received_bytes(), content.len() as u64);
        }
        assert!(download.chunk().await.unwrap().is_none());
        Ok(content)
    }

    fn file_header(&self, request: usize, name: &str) -> Option<String> {
        let script = self.script.lock().unwrap();
        let value = script.file_requests[request].1.get(name)?;
        Some(value.to_str().unwrap().to_owned())
    }

    fn file_paths(&self) -> Vec<String> {
        let script = self.script.lock().unwrap();
        script
            .file_requests
            .iter()
            .map(|(path, _)| path.clone())
            .collect()
    }
}

#[tokio::test]
async fn the_storage_of_the_file_sees_no_token() {
    let wiz = FakeWiz::start().await;
    assert_eq!(wiz.read([whole(CONTENT)]).await.unwrap(), CONTENT);
    for header in ["authorization", "referer", "range", "cookie"] {
        assert_eq!(wiz.file_header(0, header), None);
    }
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_broke() {
    let wiz = FakeWiz::start().await;
    assert_eq!(wiz.read([whole(&CONTENT[..4]), rest()]).await.unwrap(), CONTENT);
    assert_eq!(wiz.file_header(1, "range").as_deref(), Some("bytes=4-"));
    assert_eq!(wiz.file_header(1, "if-range").as_deref(), Some("\"v1\""));
}

#[tokio::test]
async fn a_storage_without_ranges_is_read_over_when_the_file_is_the_same() {
    let wiz = FakeWiz::start().await;
    let answers = [whole(&CONTENT[..4]), whole(&CONTENT[..2]), whole(CONTENT)];
    assert_eq!(wiz.read(answers).await.unwrap(), CONTENT);
}

#[tokio::test]
async fn a_file_that_changed_on_the_way_is_not_pieced_together() {
    let other = answer(200, &[("content-length", "10"), ("etag", "\"v2\"")], CONTENT);
    let unversioned = answer(200, &[("content-length", "10")], CONTENT);
    for second in [other, unversioned] {
        let wiz = FakeWiz::start().await;
        let failure = wiz.read([whole(&CONTENT[..4]), second]).await.unwrap_err();
        assert_eq!((failure.kind, failure.retryable), (FailureKind::Incomplete, true));
    }
}

#[tokio::test]
async fn an_expired_url_is_asked_for_anew() {
    let wiz = FakeWiz::start().await;
    wiz.script
        .lock()
        .unwrap()
        .file_answers
        .push_back(answer(403, &[], b""));
    let client = wiz.client();
    wiz.answers(&json!({"reportRun": wiz.run("first")}));
    let run = client.report_run(&ReportRunId::new("x")).await.unwrap().unwrap();
    wiz.answers(&json!({"reportRun": wiz.run("second")}));
    wiz.script
        .lock()
        .unwrap()
        .file_answers
        .push_back(whole(&CONTENT[..4]));
    wiz.script
        .lock()
        .unwrap()
        .file_answers
        .push_back(answer(403, &[], b""));
    wiz.script.lock().unwrap().file_answers.push_back(rest());
    let mut download = client.download(&run).await.unwrap();
    wiz.answers(&json!({"reportRun": wiz.run("third")}));
    let mut content = Vec::new();
    while let Some(piece) = download.chunk().await.unwrap() {
        content.extend_from_slice(&piece);
    }
    assert_eq!(content, CONTENT);
    assert_eq!(
        wiz.file_paths(),
        ["/file/first", "/file/second", "/file/second", "/file/third"]
    );
}

#[tokio::test]
async fn fresh_urls_that_are_refused_too_are_not_asked_for_without_end() {
    let wiz = FakeWiz::start().await;
    for path in ["first", "second", "third"] {
        wiz.script
            .lock()
            .unwrap()
            .file_answers
            .push_back(answer(403, &[], b""));
        wiz.answers(&json!({"reportRun": wiz.run(path)}));
    }
    let client = wiz.client();
    let run = client.report_run(&ReportRunId::new("x")).await.unwrap().unwrap();
    let failure = client.download(&run).await.unwrap_err().failure();
    assert_eq!((failure.kind, failure.retryable), (FailureKind::Report, true));
    assert_eq!(wiz.file_paths().len(), 3);
}

#[tokio::test]
async fn a_file_that_gets_no_further_is_incomplete() {
    let wiz = FakeWiz::start().await;
    let unavailable = (0..5).map(|_| answer(503, &[], b""));
    let failure = wiz
        .read(std::iter::once(whole(&CONTENT[..4])).chain(unavailable))
        .await
        .unwrap_err();
    assert!(failure.retryable, "{failure:?}");

    let empty = || {
        answer(
            206,
            &[("content-length", "6"), ("content-range", "bytes 4-9/10")],
            b"",
        )
    };
    let wiz = FakeWiz::start().await;
    let answers = std::iter::once(whole(&CONTENT[..4])).chain((0..5).map(|_| empty()));
    let failure = wiz.read(answers).await.unwrap_err();
    assert_eq!((failure.kind, failure.retryable), (FailureKind::Incomplete, true));
    assert!(failure.message.contains("4 of 10 bytes"), "{}", failure.message);
}

#[tokio::test]
async fn a_file_of_unknown_size_ends_with_its_stream() {
    let wiz = FakeWiz::start().await;
    assert_eq!(wiz.read([answer(200, &[], CONTENT)]).await.unwrap(), CONTENT);
    let wiz = FakeWiz::start().await;
    let empty = answer(200, &[("content-length", "0")], b"");
    assert_eq!(wiz.read([empty]).await.unwrap(), b"");
}

#[tokio::test]
async fn a_file_inside_the_network_is_not_fetched() {
    let wiz = FakeWiz::start().await;
    let mut inside = wiz.run("first");
    inside["url"] = json!("https://169.254.169.254/latest?signature=planted");
    wiz.answers(&json!({"reportRun": inside}));
    let client = wiz.client();
    let run = client.report_run(&ReportRunId::new("x")).await.unwrap().unwrap();
    let failure = client.download(&run).await.unwrap_err().failure();
    assert_eq!(
        (failure.kind, failure.retryable),
        (FailureKind::WizUnavailable, false)
    );
    assert!(failure.message.contains("WIZ_CONTEXT_ALLOW_HOSTS") && !failure.message.contains("planted"));
}
