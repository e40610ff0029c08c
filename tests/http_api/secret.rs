//! When an integration's client secret was set.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::service::{INTEGRATIONS, SECRET, Service, id, integration};

/// A change of an integration, and whether it gives a secret.
type Change = (&'static str, Method, fn(&mut Value), bool);

#[tokio::test]
async fn the_time_of_the_secret_moves_only_when_one_is_given() {
    let service = Service::start().await;
    let created = service.create("").await;
    let path = format!("{INTEGRATIONS}/{}", id(&created));
    let time = |answer: &Value| answer["wiz"]["clientsecret_set_at"].as_str().unwrap().to_owned();
    let mut set_at = time(&created.body["data"][0]);
    assert_eq!(set_at, created.body["data"][0]["created"]);

    let other = "planted-other-secret";
    let changes: [Change; 8] = [
        (
            "PUT without a secret",
            Method::PUT,
            |body| _ = body["wiz"].as_object_mut().unwrap().remove("clientsecret"),
            false,
        ),
        (
            "PATCH without `wiz`",
            Method::PATCH,
            |body| *body = json!({"enabled": false}),
            false,
        ),
        (
            "PATCH of another member of `wiz`",
            Method::PATCH,
            |body| {
                *body = json!({"wiz": {"apiendpoint": "https://api.us2.app.wiz.io"}});
            },
            false,
        ),
        (
            "PATCH with nothing",
            Method::PATCH,
            |body| *body = json!({}),
            false,
        ),
        ("PUT with the same secret", Method::PUT, |_| {}, true),
        (
            "PUT with another",
            Method::PUT,
            |body| body["wiz"]["clientsecret"] = "planted-other-secret".into(),
            true,
        ),
        (
            "PATCH with the same",
            Method::PATCH,
            |body| *body = json!({"wiz": {"clientsecret": "planted-other-secret"}}),
            true,
        ),
        (
            "PATCH with another",
            Method::PATCH,
            |body| *body = json!({"wiz": {"clientsecret": SECRET}}),
            true,
        ),
    ];
    for (name, method, change, given) in changes {
        service.clock.advance(Duration::from_mins(1));
        let mut body = integration();
        change(&mut body);
        let answer = service.call(method, &path, Some(body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}: {}", answer.body);
        let data = &answer.body["data"];
        let now = time(data);
        if given {
            assert!(now > set_at, "{name}: {now} after {set_at}");
            assert_eq!(now, data["lastupdated"], "{name}");
        } else {
            assert_eq!(now, set_at, "{name}");
            assert!(data["lastupdated"].as_str().unwrap() > set_at.as_str(), "{name}");
        }
        let read = service.call(Method::GET, &path, None).await;
        assert_eq!(time(&read.body["data"]), now, "{name}");
        set_at = now;
        let record = service.audit("integration").await.swap_remove(0);
        assert_eq!(time(&record["new_object"]), set_at, "{name}: {record}");
        assert!(!record.to_string().contains(other), "{name}");
    }

    // What is refused moves nothing, nor does a time that a client sends along.
    service.clock.advance(Duration::from_mins(1));
    let refused = json!({"wiz": {"clientsecret": ""}});
    let refused = service.call(Method::PATCH, &path, Some(refused)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let mut sent_back = service.call(Method::GET, &path, None).await.body["data"].clone();
    sent_back["wiz"]["clientsecret_set_at"] = "2020-01-01T00:00:00Z".into();
    let replaced = service.call(Method::PUT, &path, Some(sent_back)).await;
    assert_eq!(
        (replaced.status, time(&replaced.body["data"])),
        (StatusCode::OK, set_at)
    );
}
