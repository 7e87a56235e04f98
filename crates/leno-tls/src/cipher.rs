//! How a record's content is protected: AES-GCM by ring, ChaCha20-Poly1305 by aws-lc (ADR 10).

use aws_lc_rs::aead as aws_lc;
use ring::aead as ring;
use rustls::{ConnectionTrafficSecrets, Error};

/// A number that a key is used with once.
pub(crate) type Nonce = [u8; NONCE];
/// Length of a nonce, of all ciphers here.
pub(crate) const NONCE: usize = 12;
/// Length of a tag, of all ciphers here.
pub(crate) const TAG: usize = 16;

/// A cipher with its key: half a kilobyte.
pub(crate) enum Cipher {
    /// Most connections' where processors have instructions for AES.
    Aes(Box<ring::LessSafeKey>),
    /// Of peers that ask for it. Ring's would be a second one in the program, no faster.
    ChaCha(Box<aws_lc::LessSafeKey>),
}

impl Cipher {
    /// # Errors
    /// For another cipher.
    pub(crate) fn new(secrets: &ConnectionTrafficSecrets) -> Result<(Self, Nonce), Error> {
        let (cipher, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (Self::aes(&ring::AES_128_GCM, key.as_ref())?, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (Self::aes(&ring::AES_256_GCM, key.as_ref())?, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (Self::cha_cha(key.as_ref())?, iv),
            _ => return Err(Error::General("records of this cipher suite are not supported".to_owned())),
        };
        let iv = iv.as_ref().try_into().map_err(|_| Error::EncryptError)?;
        Ok((cipher, iv))
    }

    fn aes(algorithm: &'static ring::Algorithm, key: &[u8]) -> Result<Self, Error> {
        let key = ring::UnboundKey::new(algorithm, key).map_err(|_| Error::EncryptError)?;
        Ok(Self::Aes(Box::new(ring::LessSafeKey::new(key))))
    }

    fn cha_cha(key: &[u8]) -> Result<Self, Error> {
        let key = aws_lc::UnboundKey::new(&aws_lc::CHACHA20_POLY1305, key).map_err(|_| Error::EncryptError)?;
        Ok(Self::ChaCha(Box::new(aws_lc::LessSafeKey::new(key))))
    }

    /// Opens in place what its tag follows.
    pub(crate) fn open<'s>(&self, nonce: Nonce, aad: &[u8], sealed: &'s mut [u8]) -> Result<&'s mut [u8], Error> {
        match self {
            Self::Aes(key) => key
                .open_in_place(ring::Nonce::assume_unique_for_key(nonce), ring::Aad::from(aad), sealed)
                .map_err(|_| Error::DecryptError),
            Self::ChaCha(key) => key
                .open_in_place(aws_lc::Nonce::assume_unique_for_key(nonce), aws_lc::Aad::from(aad), sealed)
                .map_err(|_| Error::DecryptError),
        }
    }

    /// Seals what `out` has from `from` on, and appends the tag.
    pub(crate) fn seal(&self, nonce: Nonce, aad: &[u8], out: &mut Vec<u8>, from: usize) -> Result<(), Error> {
        let content = &mut out[from..];
        match self {
            Self::Aes(key) => {
                let nonce = ring::Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, ring::Aad::from(aad), content);
                out.extend_from_slice(tag.map_err(|_| Error::EncryptError)?.as_ref());
            }
            Self::ChaCha(key) => {
                let nonce = aws_lc::Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, aws_lc::Aad::from(aad), content);
                out.extend_from_slice(tag.map_err(|_| Error::EncryptError)?.as_ref());
            }
        }
        Ok(())
    }
}
