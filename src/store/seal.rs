//! Secrets at rest: sealed with AES-256-GCM by a key of the keyring, bound to the row they belong to.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{self, digest};
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::canonical::hex;

/// The keys that open sealed values; the first seals.
///
/// Written as `id:base64(32 bytes)[,older…]`.
pub struct Keyring(Vec<Key>);

struct Key {
    id: String,
    key: RandomizedNonceKey,
    /// For keyed hashes; follows from the key and does not tell it.
    hash_key: hmac::Key,
}

/// A sealed value with the id of the key that seals it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) key_id: String,
    pub(super) bytes: Vec<u8>,
}

/// Why a keyring cannot be read, or a value not be opened. Carries nothing of a key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// There is no key.
    #[error("the keyring is empty; it is written as id:base64(32 bytes)[,older…]")]
    Empty,
    /// A part is not `id:base64`.
    #[error("key number {0} of the keyring is not written as id:base64(32 bytes)")]
    Form(usize),
    /// Two keys have one id.
    #[error("two keys of the keyring have the id `{0}`")]
    Duplicate(String),
    /// The key of a sealed value is not there.
    #[error("the keyring has no key `{0}`")]
    UnknownKey(String),
    /// The key is not the one that sealed the value, or the value was changed or belongs to another row.
    #[error("the key `{0}` does not open the value")]
    Refused(String),
}

impl Keyring {
    /// Reads a keyring.
    ///
    /// # Errors
    /// When a part is not a key; the error names its place only.
    pub fn read(text: &str) -> Result<Self, KeyringError> {
        let mut keys: Vec<Key> = Vec::new();
        for (at, part) in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .enumerate()
        {
            let form = || KeyringError::Form(at + 1);
            let (id, key) = part
                .split_once(':')
                .filter(|(id, _)| !id.is_empty())
                .ok_or_else(form)?;
            let key = Zeroizing::new(STANDARD.decode(key).map_err(|_| form())?);
            let hash_key = hash_key(&key);
            let key = RandomizedNonceKey::new(&AES_256_GCM, &key).map_err(|_| form())?;
            if keys.iter().any(|other| other.id == id) {
                return Err(KeyringError::Duplicate(id.to_owned()));
            }
            keys.push(Key {
                id: id.to_owned(),
                key,
                hash_key,
            });
        }
        if keys.is_empty() {
            Err(KeyringError::Empty)
        } else {
            Ok(Self(keys))
        }
    }

    /// A new keyring of one random key, as text.
    ///
    /// # Panics
    /// When the system gives no random bytes.
    pub fn generate() -> Zeroizing<String> {
        let mut key = Zeroizing::new([0; 32]);
        rand::fill(&mut *key).expect("the system gives random bytes");
        Zeroizing::new(format!("k1:{}", STANDARD.encode(*key)))
    }

    /// The id of the key that seals.
    ///
    /// # Panics
    /// Never: a keyring has a key.
    pub fn sealing_key(&self) -> &str {
        &self.0.first().expect("a keyring has a key").id
    }

    /// What tells two texts apart and tells nothing of them to who does not have the key of that id; `None` when the key is
    /// not there.
    pub(super) fn keyed_hash(&self, key_id: &str, bytes: &[u8]) -> Option<Vec<u8>> {
        let key = self.0.iter().find(|key| key.id == key_id)?;
        Some(hmac::sign(&key.hash_key, bytes).as_ref().to_vec())
    }

    /// A short mark of a secret for the audit log: the same for the same secret, as long as the same key seals.
    pub(super) fn fingerprint(&self, secret: &str) -> String {
        let key_id = self.sealing_key();
        let hash = self.keyed_hash(key_id, secret.as_bytes()).unwrap_or_default();
        let hash = hex(&hash[..hash.len().min(8)]);
        format!("fingerprint:{key_id}:{hash}")
    }

    /// Seals a text for one row, named by `bound_to`.
    pub(super) fn seal(&self, text: &str, bound_to: &str) -> Sealed {
        let Key { id, key, .. } = self.0.first().expect("a keyring has a key");
        let mut bytes = text.as_bytes().to_vec();
        let nonce = key
            .seal_in_place_append_tag(Aad::from(bound_to.as_bytes()), &mut bytes)
            .expect("AES-GCM seals any text that fits into memory");
        let bytes = [nonce.as_ref().as_slice(), &bytes].concat();
        Sealed {
            key_id: id.clone(),
            bytes,
        }
    }

    /// Opens a sealed value of the row named by `bound_to`.
    pub(super) fn open(&self, sealed: &Sealed, bound_to: &str) -> Result<Zeroizing<String>, KeyringError> {
        let key_id = &sealed.key_id;
        let key = self.0.iter().find(|key| &key.id == key_id);
        let key = &key.ok_or_else(|| KeyringError::UnknownKey(key_id.clone()))?.key;
        let refused = || KeyringError::Refused(key_id.clone());
        let (nonce, text) = sealed.bytes.split_at_checked(NONCE_LEN).ok_or_else(refused)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused())?;
        let mut text = Zeroizing::new(text.to_vec());
        let opened = key
            .open_in_place(nonce, Aad::from(bound_to.as_bytes()), &mut text)
            .map_err(|_| refused())?;
        Ok(Zeroizing::new(
            str::from_utf8(opened).map_err(|_| refused())?.to_owned(),
        ))
    }
}

/// A key for hashes that follows from one for sealing.
fn hash_key(key: &[u8]) -> hmac::Key {
    let text = Zeroizing::new([b"wiz-context keyed hashes".as_slice(), key].concat());
    hmac::Key::new(hmac::HMAC_SHA256, digest(&digest::SHA256, &text).as_ref())
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_text_opens_for_its_row_only() {
        let keyring = Keyring::read(&Keyring::generate()).unwrap();
        let sealed = keyring.seal("planted", "row 1");
        assert!(!sealed.bytes.windows(7).any(|window| window == b"planted"));
        assert_eq!(*keyring.open(&sealed, "row 1").unwrap(), "planted");
        assert_eq!(
            keyring.open(&sealed, "row 2"),
            Err(KeyringError::Refused("k1".into()))
        );
        let cut = Sealed {
            bytes: sealed.bytes[..5].to_vec(),
            ..sealed.clone()
        };
        assert_eq!(
            keyring.open(&cut, "row 1"),
            Err(KeyringError::Refused("k1".into()))
        );
    }

    #[test]
    fn an_older_key_still_opens_and_the_first_seals() {
        let old = Keyring::generate();
        let new = Keyring::generate().replacen("k1", "k2", 1);
        let sealed = Keyring::read(&old).unwrap().seal("planted", "row");
        let both = Keyring::read(&format!("{new}, {}", *old)).unwrap();
        assert_eq!(*both.open(&sealed, "row").unwrap(), "planted");
        assert_eq!(both.seal("x", "row").key_id, "k2");
        assert_eq!(
            Keyring::read(&new).unwrap().open(&sealed, "row"),
            Err(KeyringError::UnknownKey("k1".into()))
        );
    }

    #[test]
    fn a_fingerprint_is_of_the_secret_and_the_key() {
        let old = Keyring::generate();
        let keyring = Keyring::read(&old).unwrap();
        let print = keyring.fingerprint("planted");
        assert_eq!(print, Keyring::read(&old).unwrap().fingerprint("planted"));
        assert_ne!(print, keyring.fingerprint("planted2"));
        assert_ne!(
            print,
            Keyring::read(&Keyring::generate())
                .unwrap()
                .fingerprint("planted")
        );
        assert_eq!(print.len(), "fingerprint:k1:0123456789abcdef".len());
    }

    #[test]
    fn what_is_not_a_keyring_is_refused_without_showing_it() {
        for (text, error) in [
            ("", KeyringError::Empty),
            ("planted", KeyringError::Form(1)),
            (":AAAA", KeyringError::Form(1)),
            ("k1:AAAA", KeyringError::Form(1)),
        ] {
            let refused = Keyring::read(text).unwrap_err();
            assert!(!refused.to_string().contains("planted"));
            assert_eq!(refused, error);
        }
        let key = Keyring::generate();
        assert_eq!(
            Keyring::read(&format!("{0},{0}", *key)).unwrap_err(),
            KeyringError::Duplicate("k1".into())
        );
    }
}
