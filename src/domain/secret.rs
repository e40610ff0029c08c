//! Secrets: values that neither print, log nor serialize; only `expose` gives them away, so that a search finds every use.

use std::fmt;

use zeroize::Zeroizing;

macro_rules! secrets {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// Takes charge of a secret text.
            pub fn new(text: impl Into<String>) -> Self {
                Self(Zeroizing::new(text.into()))
            }

            /// The secret itself, for the one call that needs it.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

secrets! {
    /// The client secret of a Wiz service account.
    ClientSecret;
    /// A key of this service's own API.
    ApiKey;
    /// A bearer token of Wiz or Fusion.
    BearerToken;
    /// A secret of a `NETOSECRET`: the shared secret or the app key.
    SharedSecret;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let secret = ClientSecret::new("planted");
        assert_eq!(format!("{secret:?}"), "ClientSecret(…)");
        assert_eq!(secret.expose(), "planted");
    }
}
