//! Percent-encoding, without mercy: what can't be decoded in one way is `None`.

/// Decodes `%XX` to a string of UTF-8 without NUL; `+` is a space where `plus_is_space`, as in
/// queries.
pub(crate) fn decode(bytes: &[u8], plus_is_space: bool) -> Result<String, Undecodable> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        decoded.push(match byte {
            b'+' if plus_is_space => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|&digit| char::from(digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err(Undecodable::Escape);
                };
                u8::try_from(high * 16 + low).map_err(|_| Undecodable::Escape)?
            }
            plain => plain,
        });
    }
    match String::from_utf8(decoded) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(Undecodable::Text),
    }
}

/// The bytes that stand as `%XX` in bytes that [`decode`].
pub(crate) fn escaped(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.split(|&byte| byte == b'%').skip(1).filter_map(|behind| {
        let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
        u8::from_str_radix(digits, 16).ok()
    })
}

/// Why bytes can't be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// A `%` without two hexadecimal digits.
    Escape,
    /// No UTF-8, or a NUL.
    Text,
}
