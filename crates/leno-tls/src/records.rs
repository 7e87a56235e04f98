//! What records mean after the handshake: data, the end, new keys, sessions. No I/O.

use std::fmt;
use std::io::IoSlice;

use rustls::{AlertDescription, Error, InvalidMessage};

use crate::key::{CONTENT, HEADER, Key, Kind, Version, parts, record_length, unexpected};
use crate::post::{KEY_UPDATE, Message, NEW_SESSION_TICKET, Schedule, message};

/// Both directions of a connection.
pub struct Records {
    version: Version,
    opening: Key,
    sealing: Key,
    schedule: Schedule,
    /// The part of a handshake message that has come.
    partial: Vec<u8>,
    /// Records since the last data that brought none.
    useless: u32,
    ended: bool,
    closed: bool,
    /// The peer asks for a new key before the next data.
    owes_key: bool,
    /// Records that one key seals.
    per_key: u64,
}

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<'w> {
    /// Bytes that it took on the wire.
    pub length: usize,
    /// What it brings; nothing where it was about the connection itself.
    pub data: &'w [u8],
}

impl Records {
    pub(crate) fn new(version: Version, opening: Key, sealing: Key, schedule: Schedule) -> Self {
        Self {
            version,
            opening,
            sealing,
            schedule,
            partial: Vec::new(),
            useless: 0,
            ended: false,
            closed: false,
            owes_key: false,
            per_key: RECORDS_PER_KEY,
        }
    }

    /// The same, with fewer records for each key.
    #[must_use]
    pub const fn with_key_limit(mut self, records: u64) -> Self {
        self.per_key = records;
        self
    }

    /// Whether the peer has said that nothing more comes (close_notify).
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether a whole record lies at the front of `wire`, or one that is too long.
    #[must_use]
    pub fn is_whole(wire: &[u8]) -> bool {
        record_length(wire).map_or(true, |length| length.is_some_and(|n| n <= wire.len()))
    }

    /// Opens the record at the front of `wire`, in place; `None` where it is not all there.
    ///
    /// # Errors
    /// Where it is not authentic, or says what it must not, or that the peer gives up. Nothing of this connection may be believed after
    /// that.
    pub fn open<'w>(&mut self, wire: &'w mut [u8]) -> Result<Option<Opened<'w>>, Error> {
        let Some(length) = record_length(wire)?.filter(|n| *n <= wire.len()) else { return Ok(None) };
        if self.version == Version::Tls13 && wire[0] != Kind::DATA.0 {
            return Err(unexpected("a record in the clear after the handshake"));
        }
        let (kind, content) = self.opening.open(&mut wire[..length])?;
        if kind == Kind::DATA && self.partial.is_empty() && !content.is_empty() {
            self.useless = 0;
            return Ok(Some(Opened { length, data: content }));
        }
        self.useless += 1;
        if self.useless > USELESS {
            return Err(unexpected("too many records that bring nothing"));
        }
        match kind {
            Kind::DATA if self.partial.is_empty() => {}
            Kind::ALERT if self.partial.is_empty() => self.alerted(content)?,
            Kind::HANDSHAKE if self.version == Version::Tls13 && !content.is_empty() => {
                self.partial.extend_from_slice(content);
                self.messages()?;
            }
            _ => return Err(unexpected("a record that has no place after the handshake")),
        }
        Ok(Some(Opened { length, data: &[] }))
    }

    fn alerted(&mut self, content: &[u8]) -> Result<(), Error> {
        let &[level, description] = content else { return Err(unexpected("an alert that is none")) };
        match AlertDescription::from(description) {
            AlertDescription::CloseNotify => self.ended = true,
            AlertDescription::UserCanceled if self.version == Version::Tls13 => {}
            // In TLS 1.2 a warning is no end.
            _ if self.version == Version::Tls12 && level == WARNING => {}
            other => return Err(Error::AlertReceived(other)),
        }
        Ok(())
    }

    fn messages(&mut self) -> Result<(), Error> {
        let whole = std::mem::take(&mut self.partial);
        let mut rest = &whole[..];
        while let Some(Message { kind, payload, length }) = message(rest)? {
            rest = &rest[length..];
            match (kind, payload) {
                (NEW_SESSION_TICKET, _) => self.schedule.ticket(payload)?,
                // A key's last record ends with it (RFC 8446, section 5.1).
                (KEY_UPDATE, &[asks @ (0 | 1)]) if rest.is_empty() => {
                    self.opening = Key::new(self.version, self.schedule.next_opening()?)?;
                    // However often it asks, one new key before the next data is all that it gets (section 4.6.3).
                    self.owes_key |= asks == 1;
                }
                (KEY_UPDATE, &[2..=u8::MAX]) => return Err(Error::InvalidMessage(InvalidMessage::InvalidKeyUpdate)),
                _ => return Err(unexpected("a handshake message that has no place after the handshake")),
            }
        }
        self.partial = rest.to_vec();
        Ok(())
    }

    /// Appends what `slices` hold, at most `most` bytes of it, as records; returns how many bytes that were.
    ///
    /// # Errors
    /// After the last record that this connection can protect.
    pub fn seal(&mut self, slices: &[IoSlice<'_>], most: usize, out: &mut Vec<u8>) -> Result<usize, Error> {
        let total = slices.iter().map(|s| s.len()).sum::<usize>().min(most);
        out.reserve(total + (total / CONTENT + 1) * OVERHEAD);
        let mut sealed = 0;
        while sealed < total {
            if self.owes_key || self.sealing.used() >= self.per_key {
                match self.new_sealing_key(out) {
                    // What was sealed goes first.
                    Err(_) if sealed > 0 => break,
                    outcome => outcome?,
                }
            }
            let n = (total - sealed).min(CONTENT);
            self.sealing.seal(Kind::DATA, parts(slices, sealed, n), out)?;
            sealed += n;
        }
        Ok(sealed)
    }

    /// Appends one record of any kind (RFC 8446, section 5.1), with at most 16 KiB.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn seal_record(&mut self, kind: u8, content: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.sealing.seal(Kind(kind), std::iter::once(content), out)
    }

    /// Says that nothing more comes, once.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn close(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        self.seal_record(Kind::ALERT.0, &[WARNING, u8::from(AlertDescription::CloseNotify)], out)
    }

    /// Tells the peer that this end gives up, and why.
    pub(crate) fn give_up(&mut self, why: &Error, out: &mut Vec<u8>) {
        let description = match why {
            // It has given up itself.
            Error::AlertReceived(_) => return,
            Error::DecryptError => AlertDescription::BadRecordMac,
            Error::PeerSentOversizedRecord => AlertDescription::RecordOverflow,
            Error::InvalidMessage(InvalidMessage::InvalidKeyUpdate) => AlertDescription::IllegalParameter,
            Error::InvalidMessage(_) => AlertDescription::DecodeError,
            _ => AlertDescription::UnexpectedMessage,
        };
        if !std::mem::replace(&mut self.closed, true) {
            // Nobody is left to hear of a failure to say so.
            let _ = self.seal_record(Kind::ALERT.0, &[FATAL, u8::from(description)], out);
        }
    }

    /// A new key, and the wish that the peer has one, too.
    #[cfg(test)]
    pub(crate) fn ask_for_a_key(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.seal_record(Kind::HANDSHAKE.0, &[KEY_UPDATE, 0, 0, 1, 1], out)?;
        self.sealing = Key::new(self.version, self.schedule.next_sealing()?)?;
        Ok(())
    }

    /// The last record under the old key says that there is a new one.
    fn new_sealing_key(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.version == Version::Tls12 {
            return Err(Error::General("TLS 1.2 has no new key for a connection this long".to_owned()));
        }
        self.seal_record(Kind::HANDSHAKE.0, &[KEY_UPDATE, 0, 0, 1, 0], out)?;
        self.sealing = Key::new(self.version, self.schedule.next_sealing()?)?;
        self.owes_key = false;
        Ok(())
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("version", &self.version).field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// Records under one key: AES-GCM stays safe for 2^24.5 full ones (RFC 8446, section 5.5).
const RECORDS_PER_KEY: u64 = 1 << 24;
/// Records without data in a row: tickets, new keys, empty ones.
const USELESS: u32 = 32;
/// Header, nonce, kind and tag.
const OVERHEAD: usize = HEADER + 8 + 1 + 16;
const WARNING: u8 = 1;
const FATAL: u8 = 2;
