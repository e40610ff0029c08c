//! Keys in files of their own beside the database, which only the service's user may read.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A file with a key.
#[derive(Clone, Debug)]
pub(crate) struct KeyFile(PathBuf);

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    #[error("the key file {} cannot be read", .0.display())]
    Read(PathBuf, #[source] io::Error),
    #[error("the key file {} is empty; put its content back from a backup, or delete it if it never had any", .0.display())]
    Empty(PathBuf),
    #[error("the key file {} cannot be written", .0.display())]
    Write(PathBuf, #[source] io::Error),
    #[error("the key file {} can be read or written by others (its mode is {:03o}); make it its owner's alone: `chmod 600 {}`",
        .0.display(), .1, .0.display())]
    Open(PathBuf, u32),
}

impl KeyFile {
    /// The file of that name in the folder of the database.
    pub(crate) fn beside(database: &Path, name: &str) -> Self {
        Self(database.with_file_name(name))
    }

    /// The key, without white space around; `None` when there is no file.
    ///
    /// # Errors
    /// When the file is empty, cannot be read, or can be read by others.
    pub(crate) fn read(&self) -> Result<Option<Zeroizing<String>>, KeyFileError> {
        let path = || self.0.clone();
        if let Some(mode) = open_mode(&self.0, 0o077) {
            return Err(KeyFileError::Open(path(), mode));
        }
        let text = match std::fs::read_to_string(&self.0) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(KeyFileError::Read(path(), error)),
        };
        let key = Zeroizing::new(text.trim().to_owned());
        if key.is_empty() {
            return Err(KeyFileError::Empty(path()));
        }
        Ok(Some(key))
    }

    /// Makes the file with a key in it.
    ///
    /// # Errors
    /// When there is a file already, or it cannot be written.
    pub(crate) fn create(&self, key: &str) -> Result<(), KeyFileError> {
        self.write_new(key)
            .map_err(|error| KeyFileError::Write(self.0.clone(), error))
    }

    fn write_new(&self, key: &str) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&self.0)?;
        let written = writeln!(file, "{key}").and_then(|()| file.sync_all());
        if let Err(error) = written {
            // Half a key would pass for a lost one at the next start.
            let _ = std::fs::remove_file(&self.0);
            return Err(error);
        }
        // Before anything is sealed by the key.
        sync_folder(&self.0)
    }

    /// Puts another key into the place of the present one, which is there until the other one is whole.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn replace(&self, key: &str) -> Result<(), KeyFileError> {
        let next = Self(self.0.with_added_extension("new"));
        // One that was left behind by a process that died was never used.
        let _ = std::fs::remove_file(&next.0);
        next.create(key)?;
        let moved = std::fs::rename(&next.0, &self.0).and_then(|()| sync_folder(&self.0));
        moved.map_err(|error| KeyFileError::Write(self.0.clone(), error))
    }
}

/// Makes the names in a file's folder outlive a power cut.
fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// The mode of a file that lets others do what they must not; `None` when it does not, or there is none.
pub(crate) fn open_mode(file: &Path, must_not: u32) -> Option<u32> {
    let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
    (mode & must_not != 0).then_some(mode)
}

impl fmt::Display for KeyFile {
    /// The whole path, so that a log tells where to look.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = std::path::absolute(&self.0);
        path.as_deref().unwrap_or(&self.0).display().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_once_for_its_owner_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::beside(&folder.path().join("test.db"), "admin-key");
        assert!(file.read().unwrap().is_none());
        file.create("planted").unwrap();
        assert_eq!(*file.read().unwrap().unwrap(), "planted");
        let path = folder.path().join("admin-key");
        assert_eq!(file.to_string(), path.display().to_string());
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let refused = file.create("other").unwrap_err();
        assert!(
            matches!(&refused, KeyFileError::Write(_, error) if error.kind() == io::ErrorKind::AlreadyExists)
        );
        assert_eq!(*file.read().unwrap().unwrap(), "planted");
    }

    #[test]
    fn an_empty_file_is_not_taken_for_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin-key");
        std::fs::write(&path, "\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let file = KeyFile::beside(&folder.path().join("test.db"), "admin-key");
        assert!(matches!(file.read(), Err(KeyFileError::Empty(_))));
    }

    #[test]
    fn a_file_that_others_may_read_or_write_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::beside(&folder.path().join("test.db"), "admin-key");
        file.create("planted").unwrap();
        let path = folder.path().join("admin-key");
        for (mode, refused) in [
            (0o640, true),
            (0o604, true),
            (0o620, true),
            (0o600, false),
            (0o400, false),
        ] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let read = file.read();
            assert_eq!(read.is_err(), refused, "{mode:03o}");
            if let Err(error) = read {
                let told = error.to_string();
                assert!(
                    told.contains(&format!("`chmod 600 {}`", path.display())),
                    "{told}"
                );
                assert!(
                    told.contains(&format!("{mode:03o}")) && !told.contains("planted"),
                    "{told}"
                );
            }
        }
    }

    #[test]
    fn a_key_that_is_replaced_is_its_owners_alone_too() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::beside(&folder.path().join("test.db"), "admin-key");
        file.create("planted").unwrap();
        std::fs::write(folder.path().join("admin-key.new"), "half").unwrap();
        file.replace("other").unwrap();
        assert_eq!(*file.read().unwrap().unwrap(), "other");
        assert!(!folder.path().join("admin-key.new").exists());
    }
}
