//! The lock that keeps a second service off the database.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Holds a database for one process, by a lock on the file `<database>.lock` beside it that ends with the process.
#[derive(Debug)]
pub struct DatabaseLock {
    _file: File,
}

/// Why a database could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error(
        "another wiz-context serves this database (it holds {}); stop it first, or use another WIZ_CONTEXT_DATABASE_URL",
        .0.display()
    )]
    Held(PathBuf),
    /// The lock file cannot be used.
    #[error("the lock file {} cannot be used", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DatabaseLock {
    /// Locks the database of that path.
    ///
    /// # Errors
    /// When another process holds it, or the lock file cannot be made.
    pub fn acquire(database: &Path) -> Result<Self, LockError> {
        // A link leads to the same file; one that is yet to be made has no other name.
        let database = database.canonicalize().unwrap_or_else(|_| database.to_owned());
        let mut path = database.into_os_string();
        path.push(".lock");
        let path = PathBuf::from(path);
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = opened.map_err(|source| LockError::File {
            path: path.clone(),
            source,
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held(path)),
            Err(TryLockError::Error(source)) => Err(LockError::File { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("test.db");
        let first = DatabaseLock::acquire(&database).unwrap();
        assert!(matches!(
            DatabaseLock::acquire(&database),
            Err(LockError::Held(_))
        ));
        drop(first);
        DatabaseLock::acquire(&database).unwrap();
    }

    #[test]
    fn a_link_to_a_database_is_locked_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (database, link) = (folder.path().join("test.db"), folder.path().join("link.db"));
        std::fs::write(&database, "").unwrap();
        std::os::unix::fs::symlink(&database, &link).unwrap();
        let _first = DatabaseLock::acquire(&database).unwrap();
        assert!(matches!(DatabaseLock::acquire(&link), Err(LockError::Held(_))));
    }
}
