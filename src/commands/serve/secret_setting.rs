//! Settings that are secrets: from the environment, or from a file that the environment or a flag names.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use zeroize::Zeroizing;

use crate::config::WrongSetting;
use crate::key_file::open_mode;

/// A setting that is a secret.
#[derive(Clone, Copy, Debug)]
pub(super) struct SecretSetting {
    /// The variable with the secret itself. With `_FILE` after it the variable that names a file.
    pub(super) variable: &'static str,
    /// The flag that names a file.
    pub(super) flag: &'static str,
    /// Whether it is a key of this service's own, whose file nobody else may read.
    pub(super) is_key: bool,
}

/// A secret with where it comes from, for what is told of it.
#[derive(Clone)]
pub(super) struct GivenSecret {
    pub(super) text: Zeroizing<String>,
    pub(super) source: String,
}

impl SecretSetting {
    /// Reads the secret, without white space around. An empty variable counts as none; `file` is the value of the flag,
    /// and empty without one.
    ///
    /// # Errors
    /// When both are set, or the file cannot be used. Nothing of the secret is repeated.
    pub(super) fn read(
        self,
        file: &OsStr,
        environment: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Option<GivenSecret>, WrongSetting> {
        let variable = self.variable;
        let plain = environment(variable).filter(|value| !value.is_empty());
        let given = match (plain, file.is_empty()) {
            (None, true) => return Ok(None),
            (Some(_), false) => {
                let both = format!("{variable}, {variable}_FILE ({})", self.flag);
                return Err(WrongSetting::new(both, "both are set; unset one of them"));
            }
            (Some(plain), true) => {
                let text = plain.into_string();
                let text = text.map_err(|_| WrongSetting::new(variable, "is not UTF-8; set it anew"))?;
                GivenSecret {
                    text: trimmed(Zeroizing::new(text)),
                    source: variable.to_owned(),
                }
            }
            (None, false) => self.read_file(Path::new(file))?,
        };
        if given.text.is_empty() {
            return Err(WrongSetting::new(
                given.source,
                "holds white space only; put the secret there",
            ));
        }
        Ok(Some(given))
    }

    fn read_file(self, path: &Path) -> Result<GivenSecret, WrongSetting> {
        let Self { variable, flag, .. } = self;
        // A file that is mounted may belong to the group that the service runs in.
        if let Some(mode) = open_mode(path, 0o027) {
            if self.is_key {
                return Err(WrongSetting::new(
                    format!("{variable}_FILE ({flag})"),
                    format!(
                        "{} can be read or written by others (its mode is {mode:03o}); make it its owner's alone: `chmod \
                         600 {}`",
                        path.display(),
                        path.display()
                    ),
                ));
            }
            let (file, mode) = (path.display(), format!("{mode:03o}"));
            tracing::warn!(%file, mode, "others may read this secret; `chmod 600` it");
        }
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(GivenSecret {
                text: trimmed(Zeroizing::new(text)),
                source: format!("{variable}_FILE ({})", path.display()),
            }),
            Err(error) => Err(WrongSetting::new(
                format!("{variable}_FILE ({flag})"),
                format!(
                    "{} cannot be read: {error}; give the path of a file with the secret",
                    path.display()
                ),
            )),
        }
    }
}

fn trimmed(text: Zeroizing<String>) -> Zeroizing<String> {
    Zeroizing::new(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTING: SecretSetting = SecretSetting {
        variable: "WIZ_CONTEXT_ADMIN_KEY",
        flag: "--admin-key-file",
        is_key: true,
    };

    fn read(plain: Option<&str>, file: &str) -> Result<Option<(String, String)>, String> {
        let environment = |name: &str| plain.filter(|_| name == SETTING.variable).map(OsString::from);
        let read = SETTING.read(OsStr::new(file), &environment);
        let read = read.map_err(|error| error.to_string())?;
        Ok(read.map(|given| (given.text.to_string(), given.source)))
    }

    fn file(content: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn a_secret_comes_from_its_variable_or_a_file_without_the_white_space_around() {
        assert_eq!(read(None, ""), Ok(None));
        assert_eq!(read(Some(""), ""), Ok(None));
        let planted = |source: &str| Ok(Some(("planted".to_owned(), source.to_owned())));
        assert_eq!(read(Some(" planted\n"), ""), planted("WIZ_CONTEXT_ADMIN_KEY"));
        let file = file("planted\r\n");
        let path = file.path().to_str().unwrap();
        assert_eq!(
            read(Some(""), path),
            planted(&format!("WIZ_CONTEXT_ADMIN_KEY_FILE ({path})"))
        );
    }

    #[test]
    fn both_ways_at_once_are_refused_without_showing_the_secret() {
        let file = file("planted");
        let refused = read(Some("planted"), file.path().to_str().unwrap()).unwrap_err();
        assert_eq!(
            refused,
            "WIZ_CONTEXT_ADMIN_KEY, WIZ_CONTEXT_ADMIN_KEY_FILE (--admin-key-file): both are set; unset one of them"
        );
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_for_a_key_with_the_remedy() {
        use std::os::unix::fs::PermissionsExt as _;

        let file = file("planted");
        let path = file.path().to_str().unwrap();
        for (mode, taken) in [
            (0o644, false),
            (0o604, false),
            (0o660, false),
            (0o640, true),
            (0o400, true),
        ] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            let read = read(None, path);
            assert_eq!(read.is_ok(), taken, "{mode:03o}");
            if let Err(told) = read {
                assert!(
                    told.contains(&format!("`chmod 600 {path}`")) && !told.contains("planted"),
                    "{told}"
                );
            }
        }
    }

    #[test]
    fn a_file_that_is_missing_empty_or_no_text_is_refused() {
        assert!(read(None, "/nowhere/key").unwrap_err().starts_with(
            "WIZ_CONTEXT_ADMIN_KEY_FILE (--admin-key-file): /nowhere/key cannot be read: No such file"
        ));
        let blank = file(" \n");
        assert!(
            read(None, blank.path().to_str().unwrap())
                .unwrap_err()
                .contains("white space only")
        );
        let binary = file([b'p', 0xff]);
        assert!(
            read(None, binary.path().to_str().unwrap())
                .unwrap_err()
                .contains("UTF-8")
        );
        assert!(read(Some("  "), "").unwrap_err().contains("white space only"));
    }
}
