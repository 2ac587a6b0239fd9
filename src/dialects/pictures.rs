//! How large the picture in a base64 text is, as the first bytes of its file say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// How many characters are decoded at first, and at last: a JPEG may have its size behind previews and profiles.
const HEADS: [usize; 2] = [4 * 1024, 2 * 1024 * 1024];

/// The width and the height of a picture in pixels. None if it is no PNG, JPEG, GIF or WebP, or not base64.
pub(crate) fn pixels(base64: &str) -> Option<(u64, u64)> {
    HEADS.iter().find_map(|most| {
        let head = base64.as_bytes().get(..*most).unwrap_or(base64.as_bytes());
        let head = head.split(|byte| *byte == b'=').next().unwrap_or_default();
        // Whole groups of four characters can be decoded alone.
        let head = if head.len() == *most { &head[..most - most % 4] } else { head };
        let size = imagesize::blob_size(&STANDARD_NO_PAD.decode(head).ok()?).ok()?;
        Some((size.width as u64, size.height as u64)).filter(|(width, height)| *width > 0 && *height > 0)
    })
}

/// The data of a data URL in base64; none of any other address.
pub(crate) fn data_of(url: &str) -> Option<&str> {
    let scheme = url.get(..5)?;
    let (head, data) = url.get(5..)?.split_once(',')?;
    (scheme.eq_ignore_ascii_case("data:") && head.ends_with(";base64")).then_some(data)
}

/// A picture's size, fitted into a box without being enlarged.
pub(crate) fn fitted((width, height): (u64, u64), longest: u64) -> (u64, u64) {
    let side = width.max(height);
    if side <= longest {
        return (width, height);
    }
    let scaled = |length: u64| (u128::from(length) * u128::from(longest) / u128::from(side)).max(1);
    (scaled(width) as u64, scaled(height) as u64)
}

/// Pictures for tests.
#[cfg(test)]
pub(crate) mod testing {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    /// A PNG of this size, in base64, that has `more` bytes behind its head.
    pub(crate) fn png(width: u32, height: u32, more: usize) -> String {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes.extend(b"\x08\x06\0\0\0");
        bytes.resize(bytes.len() + more, 7);
        STANDARD.encode(bytes)
    }

    /// A JPEG of this size, in base64, that has so many bytes before its size.
    pub(crate) fn jpeg(width: u16, height: u16, before: usize) -> String {
        let mut bytes = b"\xff\xd8".to_vec();
        for piece in vec![0; before].chunks(60_000) {
            bytes.extend([0xff, 0xe2]);
            bytes.extend((piece.len() as u16 + 2).to_be_bytes());
            bytes.extend(piece);
        }
        bytes.extend(b"\xff\xc0\0\x11\x08");
        bytes.extend(height.to_be_bytes());
        bytes.extend(width.to_be_bytes());
        bytes.extend([3; 40]);
        STANDARD.encode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::testing::{jpeg, png};
    use super::{data_of, fitted, pixels};

    #[test]
    fn the_size_is_in_the_first_bytes_or_not_far_behind() {
        assert_eq!(pixels(&png(640, 480, 0)), Some((640, 480)));
        assert_eq!(pixels(&png(640, 480, 100_000)), Some((640, 480)));
        assert_eq!(pixels(&jpeg(4000, 3000, 0)), Some((4000, 3000)));
        assert_eq!(pixels(&jpeg(4000, 3000, 300_000)), Some((4000, 3000)));
        let gif = [&b"GIF89a"[..], &[44, 1, 200, 0, 0, 0, 0]].concat();
        assert_eq!(pixels(&STANDARD.encode(gif)), Some((300, 200)));
        let webp = [&b"RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0"[..], &[0x57, 2, 0, 0x8f, 1, 0, 0, 0]].concat();
        assert_eq!(pixels(&STANDARD.encode(webp)), Some((600, 400)));
        for none in ["", "!!!", "AAAA", &STANDARD.encode("a text that is no picture"), &png(0, 5, 0)] {
            assert_eq!(pixels(none), None, "{none}");
        }
    }

    #[test]
    fn only_base64_is_data() {
        assert_eq!(data_of("data:image/png;base64,AAAA"), Some("AAAA"));
        assert_eq!(data_of("DATA:;base64,AA"), Some("AA"));
        for other in ["https://x/a.png", "data:text/plain,AA", "data", "däta:;base64,AA", ""] {
            assert_eq!(data_of(other), None, "{other}");
        }
        assert_eq!((fitted((4000, 1000), 2000), fitted((10, 20), 2000)), ((2000, 500), (10, 20)));
        assert_eq!(fitted((u64::MAX, 1), 2000), (2000, 1));
    }
}
