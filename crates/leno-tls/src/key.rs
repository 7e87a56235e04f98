//! One direction's key: a record in, its content out, and back.

use std::io::IoSlice;

use rustls::{ConnectionTrafficSecrets, Error, ProtocolVersion};

use crate::cipher::{Cipher, NONCE, Nonce, TAG};

/// What a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(pub(crate) u8);

impl Kind {
    pub(crate) const ALERT: Self = Self(21);
    pub(crate) const HANDSHAKE: Self = Self(22);
    pub(crate) const DATA: Self = Self(23);
}

/// How records are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// RFC 8446, section 5.2.
    Tls13,
    /// RFC 5288: GCM with a part of the nonce in each record.
    Tls12,
}

impl Version {
    pub(crate) fn of(version: ProtocolVersion) -> Result<Self, Error> {
        match version {
            ProtocolVersion::TLSv1_3 => Ok(Self::Tls13),
            ProtocolVersion::TLSv1_2 => Ok(Self::Tls12),
            other => Err(Error::General(format!("records of {other:?} are not supported"))),
        }
    }
}

/// A key, with the number of the next record that it protects.
pub(crate) struct Key {
    cipher: Cipher,
    iv: Nonce,
    sequence: u64,
    version: Version,
    /// Records under this key so far.
    used: u64,
}

impl Key {
    pub(crate) fn new(version: Version, from: (u64, ConnectionTrafficSecrets)) -> Result<Self, Error> {
        let (sequence, secrets) = from;
        // RFC 7905, ChaCha20 in TLS 1.2, makes its nonces in another way than GCM does.
        if version == Version::Tls12 && matches!(secrets, ConnectionTrafficSecrets::Chacha20Poly1305 { .. }) {
            return Err(Error::General("records of ChaCha20 by TLS 1.2 are not supported".to_owned()));
        }
        let (cipher, iv) = Cipher::new(&secrets)?;
        Ok(Self { cipher, iv, sequence, version, used: 0 })
    }

    /// Records that this key has protected.
    pub(crate) const fn used(&self) -> u64 {
        self.used
    }

    /// Opens a whole record, header and all, in place.
    pub(crate) fn open<'r>(&mut self, record: &'r mut [u8]) -> Result<(Kind, &'r [u8]), Error> {
        let Some((header, body)) = record.split_first_chunk_mut::<HEADER>() else { return Err(Error::DecryptError) };
        let opened = match self.version {
            Version::Tls13 => self.open_13(*header, body),
            Version::Tls12 => self.open_12(Kind(header[0]), body),
        }?;
        self.next()?;
        Ok(opened)
    }

    fn open_13<'r>(&self, header: [u8; HEADER], body: &'r mut [u8]) -> Result<(Kind, &'r [u8]), Error> {
        let inner = self.cipher.open(self.nonce(), &header, body)?;
        // The content's kind is the last byte that is not zero: what follows is padding.
        let Some(end) = inner.iter().rposition(|b| *b != 0) else { return Err(unexpected("a record without a kind")) };
        // Padding counts, too.
        if inner.len() > CONTENT + 1 {
            return Err(Error::PeerSentOversizedRecord);
        }
        Ok((Kind(inner[end]), &inner[..end]))
    }

    fn open_12<'r>(&self, kind: Kind, body: &'r mut [u8]) -> Result<(Kind, &'r [u8]), Error> {
        let Some((explicit, sealed)) = body.split_first_chunk_mut::<EXPLICIT>() else {
            return Err(Error::DecryptError);
        };
        let length = sealed.len().checked_sub(TAG).ok_or(Error::DecryptError)?;
        if length > CONTENT {
            return Err(Error::PeerSentOversizedRecord);
        }
        let mut nonce = self.iv;
        nonce[NONCE - EXPLICIT..].copy_from_slice(explicit);
        Ok((kind, self.cipher.open(nonce, &self.aad_12(kind, length), sealed)?))
    }

    /// Appends a record with `content`, which is at most [`CONTENT`] bytes.
    pub(crate) fn seal<'c>(
        &mut self,
        kind: Kind,
        content: impl Iterator<Item = &'c [u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let start = out.len();
        let nonce = self.nonce();
        out.extend_from_slice(&[0; HEADER]);
        if self.version == Version::Tls12 {
            out.extend_from_slice(&nonce[NONCE - EXPLICIT..]);
        }
        let inner = out.len();
        content.for_each(|part| out.extend_from_slice(part));
        let length = out.len() - inner;
        let outer = match self.version {
            Version::Tls13 => {
                out.push(kind.0);
                Kind::DATA
            }
            Version::Tls12 => kind,
        };
        let [high, low] = u16::try_from(out.len() - start - HEADER + TAG).unwrap_or(u16::MAX).to_be_bytes();
        let header = [outer.0, 3, 3, high, low];
        out[start..start + HEADER].copy_from_slice(&header);
        match self.version {
            Version::Tls13 => self.cipher.seal(nonce, &header, out, inner)?,
            Version::Tls12 => self.cipher.seal(nonce, &self.aad_12(kind, length), out, inner)?,
        }
        self.next()
    }

    /// RFC 8446, section 5.3. For TLS 1.2 any construction will do that never repeats.
    fn nonce(&self) -> Nonce {
        let mut nonce = self.iv;
        for (byte, number) in nonce[NONCE - 8..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= number;
        }
        nonce
    }

    /// RFC 5246, section 6.2.3.3.
    fn aad_12(&self, kind: Kind, length: usize) -> [u8; 13] {
        let mut aad = [0; 13];
        aad[..8].copy_from_slice(&self.sequence.to_be_bytes());
        let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        aad[8..].copy_from_slice(&[kind.0, 3, 3, high, low]);
        aad
    }

    fn next(&mut self) -> Result<(), Error> {
        self.sequence = self.sequence.checked_add(1).ok_or(Error::EncryptError)?;
        self.used += 1;
        Ok(())
    }
}

/// How long the record at the front of `wire` is; `None` where its header is not all there.
pub(crate) fn record_length(wire: &[u8]) -> Result<Option<usize>, Error> {
    let Some([kind, version, _, high, low]) = wire.first_chunk::<HEADER>() else { return Ok(None) };
    if !(20..=23).contains(kind) || *version != 3 {
        return Err(unexpected("what is no TLS"));
    }
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length > PROTECTED { Err(Error::PeerSentOversizedRecord) } else { Ok(Some(HEADER + length)) }
}

/// The parts of `slices` from `from` on, `most` bytes of them.
pub(crate) fn parts<'s>(slices: &'s [IoSlice<'_>], mut from: usize, mut most: usize) -> impl Iterator<Item = &'s [u8]> {
    slices.iter().filter_map(move |slice| {
        let skipped = from.min(slice.len());
        from -= skipped;
        let part = &slice[skipped..];
        let part = &part[..part.len().min(most)];
        most -= part.len();
        (!part.is_empty()).then_some(part)
    })
}

pub(crate) fn unexpected(what: &str) -> Error {
    Error::General(format!("the peer sent {what}"))
}

/// A record's header.
pub(crate) const HEADER: usize = 5;
/// Longest content of a record.
pub(crate) const CONTENT: usize = 16 * 1024;
/// Longest protected content: RFC 8446 allows 256 bytes more than the content has, RFC 5246 2,048 (section 6.2.3), which nobody uses.
pub(crate) const PROTECTED: usize = CONTENT + 256;
/// The part of the nonce that a record of TLS 1.2 carries.
const EXPLICIT: usize = 8;
