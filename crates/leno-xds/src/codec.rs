//! How messages become bytes on a stream: as tonic does it, with buffers for a control plane of many small messages.
//!
//! A stream keeps its largest buffer for as long as it lives, and a control plane has a stream for every proxy. tonic puts all
//! messages that wait into one buffer until that holds 32 KiB; here it is handed on after 8 KiB, or one message.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// Of a buffer at first, in bytes.
const SIZE: usize = 2 << 10;
/// Bytes after which a buffer is handed on.
const ENOUGH: usize = 8 << 10;

/// Encodes `T` and decodes `U`.
#[derive(Clone, Copy, Debug)]
pub struct SmallBuffers<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for SmallBuffers<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for SmallBuffers<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::new(SIZE, ENOUGH))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::new(SIZE, ENOUGH))
    }
}
