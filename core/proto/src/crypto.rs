//! Thin, typed wrappers over HKDF, HMAC and AES-GCM.
