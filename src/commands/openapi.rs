//! `openapi`: the document of the HTTP API.

use std::io::{self, Write};

use crate::http::openapi_json;

/// Prints the document.
///
/// # Errors
/// When the output cannot be written.
pub fn openapi() -> anyhow::Result<()> {
    io::stdout().lock().write_all(openapi_json().as_bytes())?;
    Ok(())
}
