//! Query parameters as Go's `url.ParseQuery` reads them.

use percent_encoding::percent_decode;

use super::mux::is_percent_encoded;

/// More pairs than this, and Go takes none of them.
const MAX_PAIRS: usize = 10_000;

/// Decoded names and values in order.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Pairs that Go can't read, and those with a raw `;`, are dropped.
    pub(super) fn parse(query: &[u8]) -> Self {
        let pairs: Vec<&[u8]> = query.split(|byte| *byte == b'&').collect();
        if pairs.len() > MAX_PAIRS {
            return Self(Vec::new());
        }
        Self(pairs.into_iter().filter(|pair| !pair.is_empty()).filter_map(parse_pair).collect())
    }

    /// Every value of a name, in order.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The switches of exec and attach: on only with exactly `1`.
    pub(super) fn is_one(&self, name: &str) -> bool {
        self.first(name) == Some("1")
    }

    /// A boolean of `PodLogOptions`: whatever doesn't say no is a yes.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.first(name).is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }
}

fn parse_pair(pair: &[u8]) -> Option<(String, String)> {
    if pair.contains(&b';') {
        return None;
    }
    let mut parts = pair.splitn(2, |byte| *byte == b'=');
    Some((unescape(parts.next()?)?, unescape(parts.next().unwrap_or_default())?))
}

fn unescape(bytes: &[u8]) -> Option<String> {
    let spaced: Vec<u8> =
        bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    is_percent_encoded(bytes).then(|| percent_decode(&spaced).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_or_dropped_as_go_does() {
        for (query, want) in [
            ("command=sh&command=-c&command=id", &["sh", "-c", "id"][..]),
            ("command=&command=id", &["", "id"]),
            ("command", &[""]),
            ("command=id%3Bls+-l", &["id;ls -l"]),
            ("c%6Fmmand=id", &["id"]),
            ("command=id;command=ls", &[]),
            ("command=ls&command=%zz&command=id", &["ls", "id"]),
            ("Command=id", &[]),
        ] {
            let parsed = Query::parse(query.as_bytes());
            assert_eq!(parsed.all("command").collect::<Vec<_>>(), want, "{query}");
        }
    }
}
