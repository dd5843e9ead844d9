//! Paths.

use gatelet_core::kubelet::CanonicalPath;

/// A canonical path prints as it was written, and has no segment that any reader drops.
pub fn run(data: &[u8]) {
    let Ok(path) = CanonicalPath::parse(data) else { return };
    assert_eq!(path.as_str().as_bytes(), data, "printing is not what was parsed");
    let segments: Vec<_> = path.segments().collect();
    assert_eq!(format!("/{}", segments.join("/")), path.as_str(), "the segments lose something");
    let is_tree = ["/", "/logs/", "/runningpods/"].contains(&path.as_str());
    for (at, segment) in segments.iter().enumerate() {
        let is_end = at + 1 == segments.len();
        assert!(!segment.is_empty() || is_end && is_tree, "an empty segment in {path:?}");
        assert!(!matches!(*segment, "." | ".."), "a dot segment in {path:?}");
        let is_escape = |c: char| !c.is_ascii_graphic() || "%\\;?#".contains(c);
        assert!(!segment.contains(is_escape), "an escape in {path:?}");
    }
}
