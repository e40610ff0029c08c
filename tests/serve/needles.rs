//! Secrets as they may look where they must not be: as they are, and in the encodings that they travel in.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use url::form_urlencoded::byte_serialize;

/// A text to look for, and what it would give away.
struct Needle {
    of: String,
    text: String,
}

/// All that is looked for.
#[derive(Default)]
pub(crate) struct Needles(Vec<Needle>);

impl Needles {
    /// Adds a secret, in every form.
    pub(crate) fn add(&mut self, of: &str, secret: &str) {
        assert!(secret.len() >= 8, "too short to look for: {of}");
        let json = serde_json::to_string(secret).unwrap();
        let form: String = byte_serialize(secret.as_bytes()).collect();
        let mut forms = vec![
            secret.to_owned(),
            json.trim_matches('"').to_owned(),
            form.replace('+', "%20"),
            form,
        ];
        forms.extend((0..3).flat_map(|before| base64_after(before, secret)));
        forms.sort();
        forms.dedup();
        let needle = |text| Needle {
            of: of.to_owned(),
            text,
        };
        self.0.extend(forms.into_iter().map(needle));
    }

    /// Adds a secret that travels as it is only.
    pub(crate) fn add_plain(&mut self, of: &str, secret: &str) {
        let (of, text) = (of.to_owned(), secret.to_owned());
        self.0.push(Needle { of, text });
    }

    /// Looks for all of them.
    #[track_caller]
    pub(crate) fn assert_none_in(&self, place: &str, bytes: &[u8]) {
        let content = String::from_utf8_lossy(bytes);
        for Needle { of, text } in &self.0 {
            // The standard library's search is fast in tests too.
            if let Some(at) = content.find(text) {
                let before: String = content[..at].chars().rev().take(200).collect();
                let before: String = before.chars().rev().collect();
                panic!("{place} tells {of}, as {text}: {before}{text}");
            }
        }
    }
}

/// Whether bytes hold others.
pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

/// What of the Base64 of a longer text is the secret's alone, when so many bytes (mod 3) stand before it.
fn base64_after(before: usize, secret: &str) -> [String; 2] {
    let bytes = [&[0; 2][..before], secret.as_bytes()].concat();
    let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD].map(|engine| engine.encode(&bytes)[from..to].to_owned())
}

#[test]
fn a_secret_is_found_in_each_of_its_encodings_and_at_every_place() {
    let secret = "planted/secret+\"with\" signs&<ü?>>";
    let mut needles = Needles::default();
    needles.add("it", secret);
    let tells = |text: String| {
        let found = std::panic::catch_unwind(|| needles.assert_none_in("a text", text.as_bytes()));
        found.is_err()
    };
    assert!(!tells("nothing of it".to_owned()));
    assert!(tells(format!("client_secret={secret}")));
    assert!(tells(serde_json::json!({ "clientsecret": secret }).to_string()));
    let form: String = byte_serialize(secret.as_bytes()).collect();
    assert!(tells(format!("a=b&client_secret={form}&c=d")));
    for before in ["", "a", "ab", "abc", "id:"] {
        let text = format!("{before}{secret} and more");
        assert!(tells(BASE64_STANDARD_NO_PAD.encode(&text)), "{before}");
        assert!(tells(BASE64_URL_SAFE_NO_PAD.encode(&text)), "{before}");
    }
}
