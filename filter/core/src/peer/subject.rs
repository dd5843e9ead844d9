//! The subject of a certificate, from the text of RFC 2253 that Envoy makes of it.

use thiserror::Error;

/// A subject: its text, and the attributes that Kubernetes reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    text: String,
    common_name: Option<String>,
    organizations: Vec<String>,
}

/// Why a subject can't be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidSubject {
    /// No UTF-8, or none at all.
    #[error("no text")]
    NotText,
    /// An attribute that is not `type=value`.
    #[error("an attribute without a type")]
    Attribute,
    /// A backslash before something that RFC 2253 doesn't escape, or an escape that is no UTF-8.
    #[error("a broken escape")]
    Escape,
    /// A character that RFC 2253 would have escaped.
    #[error("an unescaped `{0}`")]
    Unescaped(char),
    /// A common name or organization that is no string (`#` and its DER).
    #[error("a binary name")]
    Binary,
    /// Two common names: which of them counts differs by reader.
    #[error("several common names")]
    CommonNames,
}

impl Subject {
    /// Reads what OpenSSL's `XN_FLAG_RFC2253` prints.
    ///
    /// # Errors
    /// When the text is not of that form, or doesn't say who it is.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidSubject> {
        let text = std::str::from_utf8(bytes).map_err(|_| InvalidSubject::NotText)?;
        let mut common_name = None;
        let mut organizations = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (kind, behind) = rest.split_once('=').ok_or(InvalidSubject::Attribute)?;
            if kind.is_empty()
                || !kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
            {
                return Err(InvalidSubject::Attribute);
            }
            let (value, behind) = read_value(behind)?;
            match (kind, value) {
                ("CN" | "O", Value::Binary) => return Err(InvalidSubject::Binary),
                ("CN", Value::Text(_)) if common_name.is_some() => {
                    return Err(InvalidSubject::CommonNames);
                }
                ("CN", Value::Text(name)) => common_name = Some(name),
                ("O", Value::Text(name)) => organizations.push(name),
                _ => {}
            }
            rest = behind;
        }
        Ok(Self { text: text.to_owned(), common_name, organizations })
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The common name: the user, to Kubernetes.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// The organizations: the groups, to Kubernetes.
    #[must_use]
    pub fn organizations(&self) -> &[String] {
        &self.organizations
    }
}

enum Value {
    Text(String),
    /// `#` and hexadecimal digits: an attribute whose type is no string.
    Binary,
}

/// Reads a value up to the `,` or `+` behind it, and returns what follows that.
fn read_value(text: &str) -> Result<(Value, &str), InvalidSubject> {
    let mut value = Vec::new();
    let mut chars = text.char_indices();
    let mut rest = "";
    while let Some((at, char)) = chars.next() {
        match char {
            ',' | '+' => {
                rest = text.get(at + 1..).unwrap_or_default();
                if rest.is_empty() {
                    return Err(InvalidSubject::Attribute);
                }
                break;
            }
            '\\' => value.push(read_escape(&mut chars)?),
            '"' | '<' | '>' | ';' => return Err(InvalidSubject::Unescaped(char)),
            plain => value.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    let value = if text.starts_with('#') {
        Value::Binary
    } else {
        Value::Text(String::from_utf8(value).map_err(|_| InvalidSubject::Escape)?)
    };
    Ok((value, rest))
}

/// Reads what stands behind a backslash: a special character, or a byte in two hexadecimal digits.
fn read_escape(chars: &mut impl Iterator<Item = (usize, char)>) -> Result<u8, InvalidSubject> {
    let mut next = || chars.next().map(|(_, char)| char).ok_or(InvalidSubject::Escape);
    let first = next()?;
    if let Some(high) = first.to_digit(16) {
        let low = next()?.to_digit(16).ok_or(InvalidSubject::Escape)?;
        return u8::try_from(high * 16 + low).map_err(|_| InvalidSubject::Escape);
    }
    match first {
        ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '#' | '=' | ' ' => {
            u8::try_from(first).map_err(|_| InvalidSubject::Escape)
        }
        _ => Err(InvalidSubject::Escape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_openssl_prints() {
        for (text, common_name, organizations) in [
            ("", None, vec![]),
            (
                "CN=kube-apiserver-kubelet-client,O=kubeadm:cluster-admins",
                Some("kube-apiserver-kubelet-client"),
                vec!["kubeadm:cluster-admins"],
            ),
            ("O=a,O=b,CN=x", Some("x"), vec!["a", "b"]),
            ("CN=x+O=a,C=DE", Some("x"), vec!["a"]),
            ("CN=system:masters\\,O=x", Some("system:masters,O=x"), vec![]),
            ("O=a\\,CN=admin,CN=nobody", Some("nobody"), vec!["a,CN=admin"]),
            ("O=M\\C3\\BCller \\+ Co,CN=\\ x\\ ", Some(" x "), vec!["Müller + Co"]),
            ("O=Müller,CN=a\\\\", Some("a\\"), vec!["Müller"]),
            ("CN=,O=", Some(""), vec![""]),
            ("CN=a=b", Some("a=b"), vec![]),
            ("CN=\\#a\\00", Some("#a\0"), vec![]),
            ("1.2.840.113549.1.9.1=#16036140,CN=x", Some("x"), vec![]),
        ] {
            let subject = Subject::parse(text.as_bytes()).unwrap();
            assert_eq!(subject.common_name(), common_name, "{text}");
            assert_eq!(subject.organizations(), organizations, "{text}");
            assert_eq!(subject.as_str(), text);
        }
    }

    #[test]
    fn refuses_what_does_not_say_who_it_is() {
        for (text, want) in [
            (&b"\xff"[..], InvalidSubject::NotText),
            (b"admin", InvalidSubject::Attribute),
            (b"=x", InvalidSubject::Attribute),
            (b"CN=x,", InvalidSubject::Attribute),
            (b"CN=x,,O=a", InvalidSubject::Attribute),
            (b"CN=x, O=a", InvalidSubject::Attribute),
            (b"CN=x\\", InvalidSubject::Escape),
            (b"CN=x\\C", InvalidSubject::Escape),
            (b"CN=x\\zz", InvalidSubject::Escape),
            (b"CN=\\FF", InvalidSubject::Escape),
            (b"CN=\"x\"", InvalidSubject::Unescaped('"')),
            (b"CN=x;O=a", InvalidSubject::Unescaped(';')),
            (b"CN=#0c0178", InvalidSubject::Binary),
            (b"O=#0c0178", InvalidSubject::Binary),
            (b"CN=a,CN=b", InvalidSubject::CommonNames),
            (b"CN=a+CN=b", InvalidSubject::CommonNames),
        ] {
            assert_eq!(Subject::parse(text), Err(want), "{}", String::from_utf8_lossy(text));
        }
    }
}
