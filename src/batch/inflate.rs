//! Decompresses what a server compressed although nobody asked for it.
//!
//! No `Accept-Encoding` is sent, so that downloads can be resumed and have a
//! length. Some gateways compress anyway.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::own_files;

/// How gzip data begins (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// How many times as large a file may become. JSON seldom shrinks to a twentieth.
const MOST: u64 = 200;
/// What any file may become.
const LEAST: u64 = 64 << 20;

/// Why a file could not be decompressed.
#[derive(Debug)]
pub(super) enum Error {
    /// The disk failed.
    Disk(io::Error),
    /// The data are not what they should be.
    Data(String),
}

/// Decompresses a file where it is, if it is compressed; the size of the outcome is bounded.
pub(super) fn in_place(path: &Path) -> Result<(), Error> {
    let mut magic = Vec::new();
    File::open(path).and_then(|file| file.take(2).read_to_end(&mut magic)).map_err(Error::Disk)?;
    if magic != GZIP {
        return Ok(());
    }
    let file = File::open(path).map_err(Error::Disk)?;
    let limit = LEAST.max(file.metadata().map_err(Error::Disk)?.len().saturating_mul(MOST));
    let plain = path.with_extension("plain");
    let done = inflate(file, &plain, limit).and_then(|()| std::fs::rename(&plain, path).map_err(Error::Disk));
    if done.is_err() {
        drop(std::fs::remove_file(&plain));
    }
    done
}

fn inflate(file: File, plain: &Path, limit: u64) -> Result<(), Error> {
    let (mut from, mut to) = (MultiGzDecoder::new(file), own_files::create(plain).map_err(Error::Disk)?);
    let (mut buffer, mut size) = (vec![0; 64 << 10], 0);
    loop {
        let count = from.read(&mut buffer).map_err(|error| Error::Data(format!("cannot be decompressed: {error}")))?;
        if count == 0 {
            return Ok(());
        }
        size += count as u64;
        if size > limit {
            return Err(Error::Data(format!("would be larger than {limit} bytes")));
        }
        to.write_all(&buffer[..count]).map_err(Error::Disk)?;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{Error, in_place};

    fn written(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output-0.jsonl.part");
        std::fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    fn compressed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn only_what_is_compressed_is_decompressed() {
        for plain in [&b""[..], b"{}\n", b"\x1f", b"{\"a\":1}\n{\"b\":2}\n"] {
            for sent in [plain.to_vec(), compressed(plain)] {
                let (dir, path) = written(&sent);
                in_place(&path).unwrap();
                assert_eq!(std::fs::read(&path).unwrap(), plain);
                assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
            }
        }
    }

    #[test]
    fn what_is_cut_or_would_fill_the_disk_is_refused() {
        let cut = compressed(b"{\"custom_id\":\"a\"}\n");
        let bomb = compressed(&vec![b' '; 80 << 20]);
        for (sent, why) in [(&cut[..12], "cannot be decompressed"), (&bomb[..], "would be larger")] {
            let (dir, path) = written(sent);
            let Err(Error::Data(said)) = in_place(&path) else { panic!("{why}") };
            assert!(said.contains(why), "{said}");
            assert_eq!(std::fs::read(&path).unwrap(), sent, "the file stays as it was");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }
}
