//! Changes to bytes, as libFuzzer makes them, where there is no libFuzzer.

use fastrand::Rng;

/// Bytes with a few changes; `others` lend pieces of theirs.
#[must_use]
pub fn mutated(data: &[u8], others: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut data = data.to_vec();
    for _ in 0..rng.usize(1..=4) {
        let (start, end) = range(data.len(), rng);
        let other = rng.choice(others).map_or(&[][..], Vec::as_slice);
        let (from, to) = range(other.len(), rng);
        let piece = other.get(from..to).unwrap_or_default().to_vec();
        match rng.u8(..7) {
            0 => drop(data.drain(start..end)),
            1 => {
                let again = data.get(start..end).unwrap_or_default().to_vec();
                drop(data.splice(start..start, again));
            }
            2 => drop(data.splice(start..end, piece)),
            3 => drop(data.splice(start..start, piece)),
            4 => data.insert(start, rng.u8(..)),
            5 => data.insert(start, rng.choice(ODD).copied().unwrap_or_default()),
            _ => {
                if let Some(byte) = data.get_mut(start) {
                    *byte ^= 1 << rng.u8(..8);
                }
            }
        }
    }
    data
}

/// Bytes that mean something to some parser.
const ODD: &[u8] = b"\0\t\n\r \"#%&'+,-./:;<=>?@[\\]^_`{|}~\x7f\x80\xff";

/// A short stretch of so many bytes.
fn range(length: usize, rng: &mut Rng) -> (usize, usize) {
    let start = rng.usize(..=length);
    let end = start + rng.usize(..=(length - start).min(32));
    (start, end)
}
