//! Requests that are a little wrong.

use fastrand::Rng;

use crate::{
    request::Request,
    words::{KEYS, LABELS, LINES, METHODS, ROOTS, TOKENS, VALUES, pick},
};

/// Changes a request in a few places.
#[must_use]
pub fn mutated(mut request: Request, rng: &mut Rng) -> Request {
    for _ in 0..rng.usize(1..=3) {
        match rng.u8(..16) {
            0..6 => query(&mut request.target, rng),
            6..9 => path(&mut request.target, rng),
            9..11 => bytes(&mut request.target, rng),
            11..14 => headers(&mut request.headers, rng),
            // Rarely: it is a lot to read.
            14 if rng.u8(..) == 0 => pairs(&mut request.target, rng),
            14 => request.method = pick(rng, METHODS).to_owned(),
            _ => body(&mut request, rng),
        }
    }
    request.through_envoy()
}

/// A request that is nothing but noise.
#[must_use]
pub fn noise(rng: &mut Rng) -> Request {
    let mut target = b"/".to_vec();
    for _ in 0..rng.usize(..24) {
        match rng.u8(..3) {
            0 => target.push(rng.u8(..)),
            1 => target.extend_from_slice(pick(rng, TOKENS).as_bytes()),
            _ => target.extend_from_slice(pick(rng, ROOTS).as_bytes()),
        }
    }
    let method = pick(rng, METHODS).to_owned();
    Request { method, target, headers: Vec::new(), body: Vec::new() }.through_envoy()
}

/// One change among the pairs of the query.
fn query(target: &mut Vec<u8>, rng: &mut Rng) {
    let at = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let text = target.get(at + 1..).unwrap_or_default();
    let mut pairs: Vec<Vec<u8>> = text.split(|byte| *byte == b'&').map(<[u8]>::to_vec).collect();
    let place = rng.usize(..pairs.len());
    let new = format!("{}={}", pick(rng, KEYS), pick(rng, VALUES)).into_bytes();
    match (rng.u8(..6), pairs.get_mut(place)) {
        (0 | 1, _) => pairs.insert(place, new),
        (2, _) => drop(pairs.remove(place)),
        (3, Some(pair)) => {
            let pair = pair.clone();
            pairs.insert(place, pair);
        }
        (_, Some(pair)) => {
            let key = pair.split(|byte| *byte == b'=').next().unwrap_or_default().to_vec();
            let value = pick(rng, VALUES).as_bytes();
            *pair = [key.as_slice(), b"=", value].concat();
        }
        (_, None) => {}
    }
    target.truncate(at);
    target.push(b'?');
    target.extend(pairs.join(&b'&'));
}

/// One change among the segments of the path.
fn path(target: &mut Vec<u8>, rng: &mut Rng) {
    let at = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let query = target.split_off(at);
    let mut segments: Vec<Vec<u8>> =
        target.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
    let place = rng.usize(..segments.len());
    let odd = ["", ".", "..", "%2e%2e", "%2F", "..%2f", "uid", "%2e", "exec", "summary", "ping"];
    let new = match rng.u8(..3) {
        0 => pick(rng, ROOTS),
        1 => pick(rng, LABELS),
        _ => pick(rng, &odd),
    };
    match (rng.u8(..5), segments.get_mut(place)) {
        (0 | 1, _) => segments.insert(place, new.as_bytes().to_vec()),
        (2, _) => drop(segments.remove(place)),
        (3, Some(segment)) => *segment = new.as_bytes().to_vec(),
        _ => segments.push(Vec::new()),
    }
    *target = segments.join(&b'/');
    target.extend(query);
}

/// More pairs than Go reads, or as many.
fn pairs(target: &mut Vec<u8>, rng: &mut Rng) {
    let has_query = target.contains(&b'?');
    target.push(if has_query { b'&' } else { b'?' });
    let part: &[u8] = if rng.bool() { b"&" } else { b"a=1&" };
    target.extend(part.repeat(rng.usize(9_990..10_010)));
}

/// One change of bytes, wherever.
fn bytes(target: &mut Vec<u8>, rng: &mut Rng) {
    let place = rng.usize(..=target.len());
    match (rng.u8(..5), target.get(place).copied()) {
        (0 | 1, _) => drop(target.splice(place..place, pick(rng, TOKENS).bytes())),
        (2, Some(byte)) => {
            drop(target.splice(place..=place, format!("%{byte:02X}").into_bytes()));
        }
        (3, Some(byte)) => drop(target.splice(place..=place, [byte ^ 0x20])),
        (_, Some(_)) => drop(target.remove(place)),
        (_, None) => {}
    }
}

/// One change among the header lines.
fn headers(headers: &mut Vec<(String, Vec<u8>)>, rng: &mut Rng) {
    let (name, value) = rng.choice(LINES).copied().unwrap_or_default();
    let line = (name.to_owned(), value.as_bytes().to_vec());
    let place = rng.usize(..=headers.len());
    match (rng.u8(..5), headers.get_mut(place)) {
        (0, Some(_)) => drop(headers.remove(place)),
        (1, Some(line)) => {
            let line = line.clone();
            headers.push(line);
        }
        (2, Some((_, value))) => {
            let at = rng.usize(..=value.len());
            let noise = pick(rng, &[",", " ", "\t", ", ", "x", "Upgrade", "\u{a0}"]);
            drop(value.splice(at..at, noise.bytes()));
        }
        _ => match headers.iter_mut().find(|(other, _)| other == name) {
            Some(known) if rng.bool() => *known = line,
            _ => headers.push(line),
        },
    }
}

/// A form, which Go lets override the query.
fn body(request: &mut Request, rng: &mut Rng) {
    let form = pick(rng, &["tty=1&input=1", "command=evil", "only_cpu_and_memory=true", "x"]);
    let line = |name: &str, value: String| (name.to_owned(), value.into_bytes());
    if rng.bool() {
        request.headers.push(line("content-length", form.len().to_string()));
        request.body = form.as_bytes().to_vec();
    } else {
        request.headers.push(line("transfer-encoding", "chunked".to_owned()));
        request.body = format!("{:x}\r\n{form}\r\n0\r\n\r\n", form.len()).into_bytes();
    }
    if rng.u8(..4) != 0 {
        let form = "application/x-www-form-urlencoded".to_owned();
        request.headers.push(line("content-type", form));
    }
}
