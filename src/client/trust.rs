//! Trust: which certificates are believed, and how a refused one is
//! distinguished from other trouble.

use std::error::Error as _;
use std::sync::Once;

use reqwest::Certificate;

use crate::error::Error;

/// Makes ring the process's cryptography: it needs only a C compiler, and two
/// providers would leave rustls without a choice.
pub(super) fn install() {
    static RING: Once = Once::new();
    RING.call_once(|| {
        // An error means that a provider is installed already, which is what we want.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
}

/// Roots beside the platform's own: the embedded ones, so that an empty image
/// works, and the user's, so that a private authority does.
pub(super) fn roots(bundle: Option<&[u8]>) -> Result<Vec<Certificate>, Error> {
    let mut roots: Vec<Certificate> =
        webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
    if let Some(bundle) = bundle {
        let wrong =
            || Error::usage("`ca-file` holds no certificate.").hint("It must be PEM: `-----BEGIN CERTIFICATE-----`.");
        let certificates = Certificate::from_pem_bundle(bundle).map_err(|error| wrong().because(error))?;
        if certificates.is_empty() {
            return Err(wrong());
        }
        roots.extend(certificates);
    }
    Ok(roots)
}

/// Finds a refused certificate among the causes.
pub(super) fn untrusted(error: &reqwest::Error) -> Option<String> {
    let mut next = error.source();
    while let Some(cause) = next {
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = inner.and_then(|inner| inner.downcast_ref()).or_else(|| cause.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(why)) = tls {
            return Some(why.to_string());
        }
        next = inner.map(|inner| inner as &dyn std::error::Error).or_else(|| cause.source());
    }
    None
}
