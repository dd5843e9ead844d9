//! The query of a request, read as Go's `net/url` reads it, or refused.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::percent::{self, Undecodable};

/// Decoded pairs, in the order they arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Query(Vec<(String, String)>);

/// Why a query has no single reading.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum InvalidQuery {
    /// A byte that Go drops a pair for (`;`), ends the query at (`#`) or that has a second spelling.
    #[error("byte 0x{byte:02x} at offset {at} of the query")]
    Byte {
        /// Offset into the query, in bytes.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// A pair without a key: `=x`.
    #[error("a pair without a key in the query")]
    NoKey,
    /// A key that isn't spelled plainly: Go decodes keys too.
    #[error("a key that is not letters, digits, `_` or `-` in the query")]
    Key,
    /// A `%` without two hexadecimal digits: Go drops the pair in silence.
    #[error("a broken percent-encoding in the query")]
    Encoding,
    /// A value with a NUL or of no UTF-8.
    #[error("a value with a NUL or not of UTF-8 in the query")]
    Value,
    /// More pairs than [`Query::MAX_PAIRS`]: Go reads none at all beyond 10,000.
    #[error("more than {} pairs in the query", Query::MAX_PAIRS)]
    TooMany,
    /// A key that the endpoint doesn't have.
    #[error("the endpoint has no query parameter `{0}`")]
    Unknown(String),
    /// A key that the kubelet reads once, given several times: which one counts differs by key.
    #[error("query parameter `{0}` repeats")]
    Repeated(&'static str),
    /// A key without which the call makes no sense.
    #[error("query parameter `{0}` is missing")]
    Missing(&'static str),
    /// A value in another form than the canonical one.
    #[error("query parameter `{0}` is not in its canonical form")]
    Form(&'static str),
}

impl Query {
    /// How many pairs are read, the empty ones between two `&` among them.
    pub const MAX_PAIRS: usize = 256;

    /// Reads what stands behind the first `?` of a request target.
    ///
    /// # Errors
    /// When Go's `url.ParseQuery` would drop a pair, or could read it in a second way.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidQuery> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"#;\"<>\\^`{|}".contains(&byte);
        if let Some((at, &byte)) = bytes.iter().enumerate().find(|(_, byte)| !is_plain(**byte)) {
            return Err(InvalidQuery::Byte { at, byte });
        }
        let parts = || bytes.split(|&byte| byte == b'&');
        // Empty ones count too: Go counts the `&`.
        if parts().nth(Self::MAX_PAIRS).is_some() {
            return Err(InvalidQuery::TooMany);
        }
        let mut pairs = Vec::new();
        // Nothing between two `&` is nothing to every reader; kube-rs begins its queries so.
        for pair in parts().filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let key = halves.next().unwrap_or_default();
            // A key without `=` has the empty value, as in Go.
            let value = halves.next().unwrap_or_default();
            pairs.push((read_key(key)?, decode(value)?));
        }
        Ok(Self(pairs))
    }

    /// The pairs by key, each with its values in order.
    #[must_use]
    pub fn by_key(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut map: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (key, value) in &self.0 {
            map.entry(key).or_default().push(value);
        }
        map
    }

    /// Refuses keys outside the list.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), InvalidQuery> {
        match self.0.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            Some((key, _)) => Err(InvalidQuery::Unknown(key.clone())),
            None => Ok(()),
        }
    }

    /// All values of a key, in order.
    pub(super) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The value of a key that may stand once.
    pub(super) fn one(&self, key: &'static str) -> Result<Option<&str>, InvalidQuery> {
        let mut values = self.all(key);
        let value = values.next();
        if values.next().is_some() {
            return Err(InvalidQuery::Repeated(key));
        }
        Ok(value)
    }

    /// A key that may stand once, its value read by `read`, whose `None` is a refusal.
    pub(super) fn read<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, InvalidQuery> {
        self.one(key)?.map(|value| read(value).ok_or(InvalidQuery::Form(key))).transpose()
    }

    /// The query without the pairs of a key.
    pub(super) fn without(mut self, key: &str) -> Self {
        self.0.retain(|(name, _)| name != key);
        self
    }
}

fn read_key(bytes: &[u8]) -> Result<String, InvalidQuery> {
    if bytes.is_empty() {
        return Err(InvalidQuery::NoKey);
    }
    if !bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
        return Err(InvalidQuery::Key);
    }
    Ok(bytes.iter().map(|&byte| char::from(byte)).collect())
}

fn decode(bytes: &[u8]) -> Result<String, InvalidQuery> {
    percent::decode(bytes, true).map_err(|error| match error {
        Undecodable::Escape => InvalidQuery::Encoding,
        Undecodable::Text => InvalidQuery::Value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &str) -> Result<Vec<(String, String)>, InvalidQuery> {
        Query::parse(query.as_bytes()).map(|query| query.0)
    }

    #[test]
    fn decodes_as_go_does() {
        for (query, want) in [
            ("command=sh&command=-c&command=id", vec!["sh", "-c", "id"]),
            ("command=&command=id", vec!["", "id"]),
            ("command", vec![""]),
            ("", vec![]),
            ("&", vec![]),
            ("&command=sh&&command=id&", vec!["sh", "id"]),
            ("command=id%3bls", vec!["id;ls"]),
            ("command=id%26command=ls", vec!["id&command=ls"]),
            ("command=a+b%2Bc", vec!["a b+c"]),
            ("command=a=b", vec!["a=b"]),
            ("command=%0d%0a", vec!["\r\n"]),
            ("command=%C3%B6?", vec!["ö?"]),
        ] {
            let values: Vec<_> =
                pairs(query).unwrap().into_iter().map(|(_, value)| value).collect();
            assert_eq!(values, want, "{query}");
        }
    }

    #[test]
    fn refuses_what_go_drops_or_reads_twice() {
        let byte = |at, byte| InvalidQuery::Byte { at, byte };
        for (query, want) in [
            ("=x", InvalidQuery::NoKey),
            ("a=1&=", InvalidQuery::NoKey),
            ("command=id;command=ls", byte(10, b';')),
            ("command=a#b", byte(9, b'#')),
            ("command=a b", byte(9, b' ')),
            ("command=\u{e9}", byte(8, 0xc3)),
            ("c%6Fmmand=id", InvalidQuery::Key),
            ("command+=id", InvalidQuery::Key),
            ("command[]=id", InvalidQuery::Key),
            ("a?command=id", InvalidQuery::Key),
            ("command=%zz", InvalidQuery::Encoding),
            ("command=%2", InvalidQuery::Encoding),
            ("command=%", InvalidQuery::Encoding),
            ("command=%+2", InvalidQuery::Encoding),
            ("command=%00", InvalidQuery::Value),
            ("command=%ff%fe", InvalidQuery::Value),
        ] {
            assert_eq!(pairs(query), Err(want), "{query}");
        }
    }

    #[test]
    fn counts_its_pairs() {
        let most = vec!["a=1"; Query::MAX_PAIRS].join("&");
        assert_eq!(pairs(&most).map(|pairs| pairs.len()), Ok(Query::MAX_PAIRS));
        assert_eq!(pairs(&format!("{most}&a=1")), Err(InvalidQuery::TooMany));
        let few = format!("a=1{}", "&".repeat(Query::MAX_PAIRS));
        assert_eq!(pairs(&few), Err(InvalidQuery::TooMany));
    }

    #[test]
    fn what_may_stand_once_stands_once() {
        let query = Query::parse(b"tty=1&output=1&output=1").unwrap();
        assert_eq!(query.one("tty"), Ok(Some("1")));
        assert_eq!(query.one("input"), Ok(None));
        assert_eq!(query.one("output"), Err(InvalidQuery::Repeated("output")));
        assert_eq!(query.only(&["tty"]), Err(InvalidQuery::Unknown("output".to_owned())));
        assert_eq!(query.only(&["tty", "output"]), Ok(()));
    }
}
