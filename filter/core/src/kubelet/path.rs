//! The path of a request, in the one spelling that the kubelet can't read in a second way.

use serde::Serialize;
use thiserror::Error;

/// A canonical path: printing it gives the bytes it was parsed from.
///
/// The kubelet decodes `%XX` before it splits, and its router cleans `//` and dot segments away,
/// so anything with such a second spelling is refused, not repaired.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CanonicalPath(String);

/// Why a path is not canonical.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum InvalidPath {
    /// It does not begin with `/`.
    #[error("the path does not begin with `/`")]
    NotAbsolute,
    /// A byte that has, or makes, a second spelling.
    #[error("byte 0x{byte:02x} at offset {at} of the path")]
    Byte {
        /// Offset into the path, in bytes.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// An empty segment or a dot segment.
    #[error("an empty or dot segment in the path")]
    Segment,
    /// A `/` at the end of a path other than the two that the kubelet has.
    #[error("a trailing slash in the path")]
    TrailingSlash,
}

/// The kubelet's own paths that end in a slash.
const WITH_TRAILING_SLASH: [&str; 2] = ["/logs/", "/runningpods/"];

impl CanonicalPath {
    /// Reads a path without its query.
    ///
    /// # Errors
    /// When the path has, or could be read in, a second spelling.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidPath> {
        let rest = bytes.strip_prefix(b"/").ok_or(InvalidPath::NotAbsolute)?;
        if let Some((at, &byte)) = bytes.iter().enumerate().find(|(_, byte)| !is_plain(**byte)) {
            return Err(InvalidPath::Byte { at, byte });
        }
        let path: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        let named = match rest.strip_suffix(b"/") {
            Some(_) if !WITH_TRAILING_SLASH.contains(&path.as_str()) => {
                return Err(if rest.ends_with(b"//") || rest == b"/" {
                    InvalidPath::Segment
                } else {
                    InvalidPath::TrailingSlash
                });
            }
            Some(named) => named,
            None => rest,
        };
        let is_odd = |segment: &[u8]| matches!(segment, b"" | b"." | b"..");
        if !named.is_empty() && named.split(|&byte| byte == b'/').any(is_odd) {
            return Err(InvalidPath::Segment);
        }
        Ok(Self(path))
    }

    /// The path as it arrived.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands between the slashes; a trailing slash gives an empty last segment.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }
}

/// RFC 3986's unreserved characters and those reserved ones that the kubelet's router takes
/// literally. Not `%`, `;`, `\`, `#`, nor anything a URL library could strip or decode.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._@:=+~-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_every_second_spelling() {
        let byte = |at, byte| Some(InvalidPath::Byte { at, byte });
        for (path, want) in [
            ("/exec/ns/pod/c", None),
            ("/", None),
            ("/logs/", None),
            ("/runningpods/", None),
            ("/logs/pods/a.log", None),
            ("", Some(InvalidPath::NotAbsolute)),
            ("exec/ns/pod/c", Some(InvalidPath::NotAbsolute)),
            ("*", Some(InvalidPath::NotAbsolute)),
            ("http://evil/exec/ns/pod/c", Some(InvalidPath::NotAbsolute)),
            ("//", Some(InvalidPath::Segment)),
            ("//exec/ns/pod/c", Some(InvalidPath::Segment)),
            ("/exec//ns/pod/c", Some(InvalidPath::Segment)),
            ("/./exec/ns/pod/c", Some(InvalidPath::Segment)),
            ("/pods/../exec/ns/pod/c", Some(InvalidPath::Segment)),
            ("/pods/..", Some(InvalidPath::Segment)),
            ("/logs//", Some(InvalidPath::Segment)),
            ("/exec/ns/pod/c/", Some(InvalidPath::TrailingSlash)),
            ("/pods/", Some(InvalidPath::TrailingSlash)),
            ("/logs/pods/", Some(InvalidPath::TrailingSlash)),
            ("/exec/ns/pod/c%2F", byte(14, b'%')),
            ("/%65xec/ns/pod/c", byte(1, b'%')),
            ("/exec\\ns\\pod\\c", byte(5, b'\\')),
            ("/pods;x", byte(5, b';')),
            ("/pods#/../exec", byte(5, b'#')),
            ("/pods?", byte(5, b'?')),
            ("/exec/ns/pod\0/c", byte(12, 0)),
            ("/exec/ns/p\u{f6}d/c", byte(10, 0xc3)),
            ("/exec/ns/p d/c", byte(10, b' ')),
        ] {
            assert_eq!(CanonicalPath::parse(path.as_bytes()).err(), want, "{path:?}");
        }
    }

    #[test]
    fn prints_the_bytes_it_was_parsed_from() {
        for path in ["/", "/logs/", "/exec/a/b/c", "/logs/a.b_c@d:e=f+g~h-i"] {
            assert_eq!(CanonicalPath::parse(path.as_bytes()).unwrap().as_str(), path);
        }
    }
}
