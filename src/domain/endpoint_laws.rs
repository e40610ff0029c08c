//! What holds for every URL that somebody may paste: of known ones, and of such as chance puts together.

use proptest::prelude::*;

use super::{AllowedHosts, ApiEndpoint, EndpointError, TokenUrl};

/// Hosts as people write them, and the host that they come to.
const API_HOSTS: [(&str, &str); 10] = [
    ("api.us17.app.wiz.io", "api.us17.app.wiz.io"),
    ("API.US17.App.Wiz.IO", "api.us17.app.wiz.io"),
    ("api.us17.app.wiz.io.", "api.us17.app.wiz.io"),
    ("api.us17.app.wiz.io:443", "api.us17.app.wiz.io"),
    ("api.ⓤs17.app.wiz\u{3002}io", "api.us17.app.wiz.io"),
    ("api.eu-2.gov.wiz.io", "api.eu-2.gov.wiz.io"),
    ("api.us2.app.wiz.us", "api.us2.app.wiz.us"),
    // What Wiz has not named yet is within its zones all the same.
    ("api.app.wiz.io", "api.app.wiz.io"),
    ("api.eu1.private.app.wiz.io", "api.eu1.private.app.wiz.io"),
    ("acme.app.wiz.io", "acme.app.wiz.io"),
];

const TOKEN_HOSTS: [(&str, &str); 9] = [
    ("auth.app.wiz.io", "auth.app.wiz.io"),
    ("AUTH.app.wiz.io.", "auth.app.wiz.io"),
    ("auth.wiz.io", "auth.wiz.io"),
    ("auth.gov.wiz.io", "auth.gov.wiz.io"),
    ("auth0.gov.wiz.io", "auth0.gov.wiz.io"),
    ("auth.app.wiz.us", "auth.app.wiz.us"),
    ("auth.eu.app.wiz.io", "auth.eu.app.wiz.io"),
    ("login.app.wiz.us", "login.app.wiz.us"),
    ("auth.us2.gov.wiz.io", "auth.us2.gov.wiz.io"),
];

/// Hosts that are not Wiz's, though some look so, and every way to write an address of the inside.
const OTHER_HOSTS: [&str; 46] = [
    "app.wiz.io",
    "gov.wiz.io",
    "app.wiz.us",
    ".app.wiz.io",
    "wiz.io",
    "www.wiz.io",
    "api.us17.wiz.io",
    "wiz.us",
    "xapp.wiz.io",
    "api.xapp.wiz.io",
    "apiapp.wiz.io",
    "api.us17-app.wiz.io",
    "api..app.wiz.io",
    "api_us17.app.wiz.io",
    "app.wiz.io.evil.example",
    "evilapp.wiz.io.attacker.com",
    "api.us17.app.wiz.io.evil.example",
    "api.us17.app.wiz.io.evil.example.",
    "api.us17.app.wiz.com",
    "api.us17.app.wiz.io-evil.example",
    "api.us17.аpp.wiz.io", // a Cyrillic letter
    "api.us17.xn--pp-6kc.wiz.io",
    "api.us17.app.wız.io", // a letter without its dot
    "evil.example",
    "localhost",
    "localhost.",
    "metadata.google.internal",
    "metadata",
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.0.2",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "0",
    "10.0.0.1",
    "169.254.169.254",
    "0xa9fea9fe",
    "１２７.0.0.1", // digits of full width
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[fd00:ec2::254]",
];

/// Texts around a good host that change where a reader of URLs goes, or that have no place in a setting.
const MISLEADING: [&str; 16] = [
    "",
    "https://",
    "//{}/",
    "{}",
    "ftp://{}/",
    "file://{}/",
    "javascript://{}/",
    "https://me@{}/",
    "https://me:pw@{}/",
    "https://:pw@{}/",
    "https://{}@evil.example/",
    "https://{}:pw@evil.example/",
    "https://{}%2f@evil.example/",
    "https://evil.example\\@{}/",
    "https://{}:8443/",
    "https://{}:80/",
];

#[test]
fn hosts_in_wizs_zones_are_taken_however_they_are_written() {
    let nobody = AllowedHosts::default();
    for scheme in ["https", "http", "HTTPS", "hTTp"] {
        for (written, host) in API_HOSTS {
            let text = format!("{scheme}://{written}");
            let read = ApiEndpoint::read(&text, &nobody).map(|url| url.to_string());
            assert_eq!(read, Ok(format!("https://{host}/graphql")), "{text}");
        }
        for (written, host) in TOKEN_HOSTS {
            let text = format!("{scheme}://{written}/oauth/token/");
            let read = TokenUrl::read(&text, &nobody).map(|url| url.to_string());
            assert_eq!(read, Ok(format!("https://{host}/oauth/token")), "{text}");
        }
    }
}

#[test]
fn hosts_that_only_look_like_wizs_are_refused_by_name() {
    let nobody = AllowedHosts::default();
    for host in OTHER_HOSTS {
        for scheme in ["https", "http"] {
            let text = format!("{scheme}://{host}");
            let refused = [
                ApiEndpoint::read(&text, &nobody).err(),
                TokenUrl::read(&text, &nobody).err(),
            ];
            for error in refused {
                let by_name = matches!(
                    error,
                    Some(EndpointError::Host { .. } | EndpointError::NotAUrl(_))
                );
                assert!(by_name, "{text}: {error:?}");
            }
        }
    }
}

#[test]
fn a_good_host_in_a_misleading_url_is_refused() {
    let nobody = AllowedHosts::default();
    for form in MISLEADING {
        let api = form.replace("{}", "api.us17.app.wiz.io");
        assert!(ApiEndpoint::read(&api, &nobody).is_err(), "{api}");
        let token = form.replace("{}", "auth.app.wiz.io");
        assert!(TokenUrl::read(&token, &nobody).is_err(), "{token}");
    }
}

#[test]
fn urls_in_each_others_place_are_told_apart() {
    let nobody = AllowedHosts::default();
    let told = ApiEndpoint::read("https://auth.app.wiz.io", &nobody).unwrap_err();
    assert_eq!(
        told.to_string(),
        "names the host `auth.app.wiz.io`, which belongs into the other URL; this one looks like \
         https://api.us17.app.wiz.io/graphql"
    );
    for host in ["auth0.gov.wiz.io", "auth.app.wiz.us"] {
        let read = ApiEndpoint::read(&format!("https://{host}"), &nobody);
        assert!(matches!(read, Err(EndpointError::OtherUrl { .. })), "{host}");
    }
    let read = TokenUrl::read("https://api.us17.app.wiz.io", &nobody);
    assert!(matches!(read, Err(EndpointError::OtherUrl { .. })), "{read:?}");
}

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

/// Whether a host has a name below one of Wiz's zones, or is the one outside them.
fn is_wiz(host: &str) -> bool {
    let labels: Vec<_> = host.split('.').collect();
    let in_zone = matches!(
        labels[..],
        [.., _, "app" | "gov", "wiz", "io"] | [.., _, "app", "wiz", "us"]
    );
    host == "auth.wiz.io" || (in_zone && labels.iter().all(|label| !label.is_empty()))
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
