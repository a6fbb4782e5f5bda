//! Streaming decompression: bounded output per call, whatever the ratio.

use std::io::{self, Write};
use std::mem;

use flate2::write::MultiGzDecoder;
use zstd::stream::raw::{Decoder as ZstdDecoder, InBuffer, Operation, OutBuffer};

/// How many bytes tell a format.
pub(super) const MAGIC_BYTES: usize = 4;

/// Output of one call for zstd, in bytes: a block of the format decompresses to at most this.
const ZSTD_STEP: usize = 128 << 10;

/// How the bytes of a file become those of its records.
pub(super) enum Codec {
    /// As they are.
    Plain,
    /// gzip, one member or several.
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    /// zstd, one frame or several.
    Zstd {
        /// The decoder of the current frame.
        decoder: ZstdDecoder<'static>,
        /// Whether a frame has begun that has not ended.
        inside: bool,
    },
}

impl Codec {
    /// Recognises the format by the first [`MAGIC_BYTES`] of a file (all it has, if it is shorter), or else by its
    /// name.
    pub(super) fn detect(head: &[u8], name: &str) -> io::Result<Codec> {
        if head.starts_with(&[0x1f, 0x8b]) || name.ends_with(".gz") {
            Ok(Codec::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))))
        } else if is_zstd(head) || name.ends_with(".zst") {
            // No data is not a frame cut short, but a file of this name without any is one.
            Ok(Codec::Zstd { decoder: ZstdDecoder::new()?, inside: true })
        } else {
            Ok(Codec::Plain)
        }
    }

    /// Whether a place in the file is the same place in the stream of records.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Codec::Plain)
    }

    /// Decompresses the beginning of `input`, appends to `out`, and returns how many bytes of `input` it took.
    /// Appends some hundred KiB at most.
    pub(super) fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Codec::Plain => {
                out.extend_from_slice(input);
                Ok(input.len())
            }
            Codec::Gzip(decoder) => {
                mem::swap(out, decoder.get_mut());
                let taken = decoder.write(input);
                mem::swap(out, decoder.get_mut());
                taken
            }
            Codec::Zstd { decoder, inside } => decode_zstd(decoder, inside, input, out),
        }
    }

    /// Appends what is left when the input has ended.
    ///
    /// # Errors
    /// If the input was cut short.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Codec::Plain => Ok(()),
            Codec::Gzip(decoder) => {
                mem::swap(out, decoder.get_mut());
                let finished = decoder.try_finish();
                mem::swap(out, decoder.get_mut());
                finished
            }
            Codec::Zstd { decoder, inside } => finish_zstd(decoder, inside, out),
        }
    }
}

fn decode_zstd(
    decoder: &mut ZstdDecoder<'static>,
    inside: &mut bool,
    input: &[u8],
    out: &mut Vec<u8>,
) -> io::Result<usize> {
    let filled = out.len();
    out.reserve(ZSTD_STEP);
    let mut source = InBuffer::around(input);
    let hint = decoder.run(&mut source, &mut OutBuffer::around_pos(out, filled))?;
    *inside = hint != 0;
    Ok(source.pos())
}

/// Output that did not fit is still inside the decoder.
fn finish_zstd(decoder: &mut ZstdDecoder<'static>, inside: &mut bool, out: &mut Vec<u8>) -> io::Result<()> {
    while *inside {
        let filled = out.len();
        decode_zstd(decoder, inside, &[], out)?;
        if *inside && out.len() == filled {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// A frame, or one of the 16 skippable ones (RFC 8878, 3.1).
fn is_zstd(head: &[u8]) -> bool {
    matches!(head, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}
