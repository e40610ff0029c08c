//! What holds for every URL that somebody may paste.

use proptest::prelude::*;

use super::{AllowedHosts, ApiEndpoint, TokenUrl};

/// Pieces that URLs are made of, and those that mislead readers of URLs.
fn pasted() -> impl Strategy<Value = String> {
    let scheme = prop::sample::select(vec![
        "https://",
        "http://",
        "HTTP://",
        "https:",
        "https:\\\\",
        "//",
        "ftp://",
        "javascript:",
        "file://",
        "",
        " https://",
    ]);
    let user = prop::sample::select(vec![
        "",
        "",
        "",
        "me@",
        "me:pw@",
        "api.us1.app.wiz.io@",
        "%40",
        "\\@",
    ]);
    let host = prop_oneof![
        prop::sample::select(vec![
            "api.us17.app.wiz.io",
            "API.us17.APP.wiz.io",
            "api.us17.app.wiz.io.",
            "auth.app.wiz.io",
            "auth0.gov.wiz.io",
            "api.us17.app.wiz.io.evil.example",
            "evil.example",
            "app.wiz.io",
            "api..app.wiz.io",
            "api.a.b.app.wiz.io",
            "127.0.0.1",
            "0x7f.1",
            "2130706433",
            "[::1]",
            "[::ffff:10.0.0.1]",
            "169.254.169.254",
            "localhost",
            "api.us17.app.wiz\u{3002}io",
            "api.ⓤs17.app.wiz.io",
            "api.us17.app.wiz.io%00.evil.example",
            "wiz.lab",
        ])
        .prop_map(str::to_owned),
        "[a-z0-9.\\-%@:\\[\\]]{0,24}",
    ];
    let port = prop::sample::select(vec!["", "", "", ":443", ":80", ":8443", ":0", ":99999", ":"]);
    let path = prop_oneof![
        prop::sample::select(vec![
            "",
            "/",
            "/graphql",
            "/graphql/",
            "/oauth/token",
            "/graphql?x=1",
            "/graphql#x",
            "/../graphql",
            "/%67raphql",
            "\\graphql",
            "/graphql/../x",
            "//graphql",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,12}",
    ];
    prop_oneof![
        9 => (scheme, user, host, port, path).prop_map(|(scheme, user, host, port, path)| format!("{scheme}{user}{host}{port}{path}")),
        1 => any::<String>(),
    ]
}

/// Whether a host is one of those that Wiz names: `api.<data centre>` of its three clouds, or one of those that give tokens.
fn is_wiz(host: &str) -> bool {
    let is_api = [".app.wiz.io", ".gov.wiz.io", ".app.wiz.us"].iter().any(|zone| {
        let data_centre = host.strip_suffix(zone).and_then(|rest| rest.strip_prefix("api."));
        data_centre.is_some_and(|name| !name.is_empty() && !name.contains('.'))
    });
    let gives_tokens = [
        "auth.app.wiz.io",
        "auth.wiz.io",
        "auth.gov.wiz.io",
        "auth0.gov.wiz.io",
        "auth.app.wiz.us",
    ];
    is_api || gives_tokens.contains(&host)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_taken_leads_to_wiz_by_https_and_nowhere_else(text in pasted()) {
        let nobody = AllowedHosts::default();
        let taken = [
            ApiEndpoint::read(&text, &nobody).map(|url| (url.url().clone(), "/graphql")),
            TokenUrl::read(&text, &nobody).map(|url| (url.url().clone(), "/oauth/token")),
        ];
        for (url, path) in taken.into_iter().flatten() {
            prop_assert_eq!(url.scheme(), "https");
            prop_assert!(is_wiz(url.host_str().unwrap()), "{}", url);
            prop_assert_eq!((url.port(), url.path(), url.query(), url.fragment()), (None, path, None, None));
            prop_assert!(url.username().is_empty() && url.password().is_none());
        }
    }

    #[test]
    fn what_was_taken_once_is_taken_again_as_it_is(text in pasted()) {
        let allowed: AllowedHosts = "wiz.lab, 127.0.0.1:8443".parse().unwrap();
        if let Ok(url) = ApiEndpoint::read(&text, &allowed) {
            let again = ApiEndpoint::read(&url.to_string(), &allowed).unwrap();
            prop_assert_eq!(again.to_string(), url.to_string());
        }
    }

    #[test]
    fn hosts_are_allowed_by_what_was_written_only(text in any::<String>(), host in "[a-z]{1,8}\\.example", port in any::<u16>()) {
        let _ = text.parse::<AllowedHosts>();
        let allowed: AllowedHosts = format!("{host}:{port}").parse().unwrap();
        prop_assert!(allowed.permits(&host.to_uppercase(), port));
        prop_assert!(!allowed.permits(&host, port.wrapping_add(1)));
        let suffixed = format!("{host}.evil");
        prop_assert!(!allowed.permits(&suffixed, port));
    }
}
