//! The options of all commands that open the service's database.

use std::ffi::OsString;

use clap::Args;

/// Where the database is.
#[derive(Args, Clone, Debug)]
pub(super) struct DatabaseArgs {
    /// The SQLite database; `serve` makes it when it does not exist
    #[arg(
        long,
        env = "WIZ_CONTEXT_DATABASE_URL",
        value_name = "URL",
        default_value = "sqlite://wiz-context.db"
    )]
    pub(super) database_url: String,
}

/// What opens the secrets in it.
#[derive(Args, Clone, Debug)]
pub(super) struct EncryptionKeyArgs {
    /// A file with the keys that seal stored secrets
    #[arg(
        long,
        env = "WIZ_CONTEXT_ENCRYPTION_KEY_FILE",
        value_name = "FILE",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) encryption_key_file: OsString,
}
