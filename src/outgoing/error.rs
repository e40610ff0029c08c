//! Why no answer came.

use std::borrow::Cow;
use std::error::Error;

use reqwest::StatusCode;

use super::guard::Refused;
use super::redirect::RedirectFault;
use crate::domain::BearerToken;

/// Why a request got no answer. The texts name no URL: some of them carry a signature.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The address rules refuse the URL.
    #[error("cannot reach {0}")]
    Refused(Refused),
    /// No connection came about: the server has not seen the request.
    #[error("cannot connect to {host} ({cause})")]
    Connect {
        /// The host.
        host: String,
        /// The innermost cause.
        cause: String,
    },
    /// No answer in time.
    #[error("{host} did not answer in time")]
    Timeout {
        /// The host.
        host: String,
    },
    /// The connection broke after the request went out.
    #[error("the connection to {host} broke ({cause})")]
    Broken {
        /// The host.
        host: String,
        /// The innermost cause.
        cause: String,
    },
    /// A redirect that is not followed.
    #[error("{host} redirects elsewhere (HTTP {status}), {fault}")]
    Redirected {
        /// The host.
        host: String,
        /// The redirect's status.
        status: StatusCode,
        /// Why not.
        fault: RedirectFault,
    },
    /// An answer of a size that no answer has.
    #[error("{host} sent an answer of more than {limit_bytes} bytes")]
    TooLarge {
        /// The host.
        host: String,
        /// How much is read.
        limit_bytes: usize,
    },
}

impl SendError {
    /// Reads the cause out of the client's error, which prints its URL otherwise.
    pub(super) fn from_client(error: reqwest::Error, host: &str) -> Self {
        let error = error.without_url();
        let host = host.to_owned();
        if let Some(refused) = find_refused(&error) {
            return Self::Refused(refused.clone());
        }
        let cause = innermost(&error);
        match () {
            () if error.is_connect() => Self::Connect { host, cause },
            () if error.is_timeout() => Self::Timeout { host },
            () => Self::Broken { host, cause },
        }
    }

    /// Whether trying again without any change may help.
    pub(crate) const fn is_passing(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Timeout { .. } | Self::Broken { .. } => true,
            Self::Refused(_) | Self::Redirected { .. } | Self::TooLarge { .. } => false,
        }
    }

    /// Whether the server cannot have seen the request.
    pub(crate) const fn is_unsent(&self) -> bool {
        matches!(self, Self::Connect { .. })
    }
}

fn find_refused<'a>(mut error: &'a (dyn Error + 'static)) -> Option<&'a Refused> {
    loop {
        if let Some(refused) = error.downcast_ref() {
            return Some(refused);
        }
        error = error.source()?;
    }
}

fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    one_line(&innermost.to_string(), 200)
}

/// A neighbour's own words, on one line of at most so many characters; `None` when there are none, or when they repeat the
/// token.
pub(crate) fn neighbours_words(text: &str, max_chars: usize, token: &BearerToken) -> Option<String> {
    // The whole text is looked through, since cutting it first could leave a part of the token.
    let words = one_line(text, max_chars);
    (!words.is_empty() && !text.contains(token.expose())).then_some(words)
}

/// A foreign text as one line of at most `max_chars` characters, fit for a message. Of URLs what comes after the path is
/// left out, for it may be a signature.
pub(crate) fn one_line(text: &str, max_chars: usize) -> String {
    let words = text
        .split(|character: char| character.is_whitespace() || character.is_control())
        .filter(|word| !word.is_empty())
        .map(unsigned);
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn unsigned(word: &str) -> Cow<'_, str> {
    let query = word
        .find("://")
        .and_then(|start| word[start..].find(['?', '#']).map(|query| start + query));
    match query {
        Some(query) => Cow::Owned(format!("{}…", &word[..query])),
        None => Cow::Borrowed(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_repeated_even_where_the_cut_would_go_through_it() {
        let token = BearerToken::new("planted-token");
        assert_eq!(
            neighbours_words("no such field", 5, &token).as_deref(),
            Some("no su…")
        );
        assert_eq!(neighbours_words(" \n", 300, &token), None);
        let text = format!("{} planted-token", "x".repeat(290));
        assert_eq!(neighbours_words(&text, 300, &token), None);
    }

    #[test]
    fn foreign_texts_become_one_short_line() {
        assert_eq!(one_line(" a\r\n\tb\u{7}c  d ", 100), "a b c d");
        assert_eq!(one_line("äöü", 2), "äö…");
        assert_eq!(one_line("äöü", 3), "äöü");
        assert_eq!(
            one_line("no PUT to (https://s3.example/report.csv?sig=planted): 403?", 100),
            "no PUT to (https://s3.example/report.csv… 403?"
        );
    }
}
