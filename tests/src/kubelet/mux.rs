//! How Go's `ServeMux` and go-restful read a request target, as far as a bypass would use it.
//!
//! Percent-encoding is decoded before a path is matched, an unclean path is redirected, and
//! go-restful splits the *decoded* path, so that `%2F` separates segments like `/` does.

use percent_encoding::percent_decode;

/// Prefixes below which go-restful routes; the mux hands them every path underneath.
const SERVICES: &[&str] = &[
    "attach",
    "checkpoint",
    "containerLogs",
    "debug",
    "exec",
    "logs",
    "pods",
    "portForward",
    "run",
    "runningpods",
    "stats",
];

/// Services that are registered with their trailing slash only.
const TREES: &[&str] = &["/debug/pprof", "/logs", "/runningpods", "/stats"];

/// Where a target leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// 400: the target is no path, or its encoding is broken.
    Unreadable,
    /// 307 to this location.
    Redirect(String),
    /// The mux knows a handler; these are the decoded segments, which the handler still matches.
    Segments(Vec<String>),
    /// 404 from the mux.
    Unknown,
}

/// A request target, taken apart.
#[derive(Debug)]
pub(super) struct Target<'a> {
    path: &'a [u8],
    query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    pub(super) fn parse(target: &'a [u8]) -> Self {
        let target = strip_authority(target);
        match target.iter().position(|byte| *byte == b'?') {
            Some(at) => {
                let (path, query) = target.split_at(at);
                Self { path, query: query.get(1..) }
            }
            None => Self { path: target, query: None },
        }
    }

    pub(super) fn query(&self) -> &'a [u8] {
        self.query.unwrap_or_default()
    }

    /// What the mux does with it.
    pub(super) fn route(&self) -> Route {
        if !self.path.starts_with(b"/") || !is_percent_encoded(self.path) {
            return Route::Unreadable;
        }
        let clean = clean(self.path);
        if clean != self.path {
            return self.redirect(&clean);
        }
        let segments: Vec<String> =
            self.path.split(|byte| *byte == b'/').skip(1).map(decode).collect();
        let decoded = decode(self.path);
        if TREES.contains(&decoded.as_str()) {
            return self.redirect(&[self.path, b"/"].concat());
        }
        if segments.first().is_some_and(|first| SERVICES.contains(&first.as_str())) {
            return Route::Segments(
                decoded.trim_matches('/').split('/').map(str::to_owned).collect(),
            );
        }
        // The remaining handlers are registered as exact paths.
        let encoded_slash =
            segments.iter().any(|segment| segment.contains('/') || segment.is_empty());
        if encoded_slash { Route::Unknown } else { Route::Segments(segments) }
    }

    fn redirect(&self, path: &[u8]) -> Route {
        let mut location = String::from_utf8_lossy(path).into_owned();
        if let Some(query) = self.query {
            location.push('?');
            location.push_str(&String::from_utf8_lossy(query));
        }
        Route::Redirect(location)
    }
}

/// Drops `scheme://authority` of an absolute-form target.
fn strip_authority(target: &[u8]) -> &[u8] {
    if target.starts_with(b"/") {
        return target;
    }
    let Some(scheme) = target.windows(3).position(|window| window == b"://") else { return target };
    let rest = target.get(scheme + 3..).unwrap_or_default();
    let path = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    rest.get(path..).unwrap_or_default()
}

/// Whether every `%` is followed by two hexadecimal digits.
pub(super) fn is_percent_encoded(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'%')
        .skip(1)
        .all(|rest| matches!(rest, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()))
}

/// `path.Clean` of an absolute path, keeping a trailing slash; dots count only when they are literal.
fn clean(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let mut clean: Vec<u8> = kept.iter().flat_map(|segment| [b"/", *segment].concat()).collect();
    if clean.is_empty() || path.ends_with(b"/") {
        clean.push(b'/');
    }
    clean
}

fn decode(bytes: &[u8]) -> String {
    percent_decode(bytes).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(path: &str) -> Route {
        Route::Segments(path.split('/').map(str::to_owned).collect())
    }

    fn redirect(path: &str) -> Route {
        Route::Redirect(path.to_owned())
    }

    #[test]
    fn second_spellings_reach_exec_as_they_do_on_a_kubelet() {
        for (target, want) in [
            ("/exec/ns/pod/c", segments("exec/ns/pod/c")),
            ("/exec/ns/pod/c/", segments("exec/ns/pod/c")),
            ("/exec/ns/pod/c%2F", segments("exec/ns/pod/c")),
            ("/exec/ns%2Fpod%2Fc", segments("exec/ns/pod/c")),
            ("/%65xec/ns/pod/c", segments("exec/ns/pod/c")),
            ("http://evil/exec/ns/pod/c?command=id", segments("exec/ns/pod/c")),
            ("/exec/ns/pod/c#?command=id", segments("exec/ns/pod/c#")),
            ("//exec/ns/pod/c?command=id", redirect("/exec/ns/pod/c?command=id")),
            ("/pods/../exec/ns/pod/c", redirect("/exec/ns/pod/c")),
            ("/exec/ns/pod/c//", redirect("/exec/ns/pod/c/")),
            ("/runningpods", redirect("/runningpods/")),
            ("/logs", redirect("/logs/")),
            ("/%2Fexec/ns/pod/c", Route::Unknown),
            ("/exec%2Fns%2Fpod%2Fc", Route::Unknown),
            ("/metrics%2Fcadvisor", Route::Unknown),
            ("/metrics/", Route::Unknown),
            ("/exec/%zz", Route::Unreadable),
            ("exec/ns/pod/c", Route::Unreadable),
        ] {
            assert_eq!(Target::parse(target.as_bytes()).route(), want, "{target}");
        }
    }
}
