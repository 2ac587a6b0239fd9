//! How a batch's answers are delivered when something goes wrong on the way back:
//! after the batch is over, and before its files are what they will be.

use std::fmt;
use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;

use super::faults::compact;

/// What happens to the files of a batch, or to what it says of them. Spans count from its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DeliveryFault {
    /// They are named that much later.
    Late(Duration),
    /// They hold half of their lines for so long.
    Short(Duration),
    /// They end inside a line for so long.
    Torn(Duration),
    /// A page of a gateway is in their place for so long.
    Page(Duration),
    /// They do not exist for so long.
    Absent(Duration),
    /// They are compressed.
    Gzip,
    /// The batch counts nothing.
    Uncounted,
    /// It counts so many requests more as completed than were.
    Overcounted(u64),
    /// It counts no request as completed.
    Undercounted,
    /// It names an error file that does not exist, where it has none.
    Phantom,
    /// They are at an address of another origin, which takes no credentials.
    Elsewhere,
}

impl fmt::Display for DeliveryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(span) => write!(f, "late={}", compact(span)),
            Self::Short(span) => write!(f, "short={}", compact(span)),
            Self::Torn(span) => write!(f, "torn={}", compact(span)),
            Self::Page(span) => write!(f, "page={}", compact(span)),
            Self::Absent(span) => write!(f, "absent={}", compact(span)),
            Self::Gzip => f.write_str("gzip"),
            Self::Uncounted => f.write_str("uncounted"),
            Self::Overcounted(count) => write!(f, "overcounted={count}"),
            Self::Undercounted => f.write_str("undercounted"),
            Self::Phantom => f.write_str("phantom"),
            Self::Elsewhere => f.write_str("elsewhere"),
        }
    }
}

/// What is delivered of a file so long after its batch's end; none where it does not exist yet.
pub(super) fn deliver(content: &Bytes, faults: &[DeliveryFault], after: Duration) -> Option<Bytes> {
    let mut content = content.clone();
    for fault in faults {
        match fault {
            DeliveryFault::Absent(span) if after < *span => return None,
            DeliveryFault::Page(span) if after < *span => {
                return Some(Bytes::from_static(
                    b"<html>\n<head><title>502</title></head>\n<body>upstream</body>\n</html>\n",
                ));
            }
            DeliveryFault::Short(span) if after < *span => {
                let lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
                content = lines[..lines.len() / 2].concat().into();
            }
            DeliveryFault::Torn(span) if after < *span => content.truncate(content.len() * 2 / 3),
            DeliveryFault::Gzip => content = compressed(&content),
            _ => {}
        }
    }
    Some(content)
}

fn compressed(content: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // A vector takes everything.
    drop(encoder.write_all(content));
    encoder.finish().unwrap_or_default().into()
}
