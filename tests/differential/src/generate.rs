//! Requests that the kubelet has a use for, by construction.

use fastrand::Rng;

use crate::{
    request::Request,
    words::{LABELS, PODS, TEXTS, pick},
};

/// The query parameters of an endpoint with how their values are made.
type Parameters = &'static [(&'static str, fn(&mut Rng) -> String)];

/// A shape of valid requests.
struct Shape {
    methods: &'static [&'static str],
    path: fn(&mut Rng) -> String,
    parameters: Parameters,
    streams: Option<Streams>,
}

#[derive(Clone, Copy)]
struct Streams {
    spdy: &'static [&'static str],
    websocket: &'static [&'static str],
}

const REMOTE_COMMAND: Streams = Streams {
    spdy: &[
        "v5.channel.k8s.io",
        "v4.channel.k8s.io",
        "v3.channel.k8s.io",
        "v2.channel.k8s.io",
        "channel.k8s.io",
    ],
    websocket: &[
        "v5.channel.k8s.io",
        "v4.channel.k8s.io",
        "v4.base64.channel.k8s.io",
        "channel.k8s.io",
        "base64.channel.k8s.io",
    ],
};
const PORT_FORWARD: Streams = Streams {
    spdy: &["portforward.k8s.io"],
    websocket: &["v4.channel.k8s.io", "v4.base64.channel.k8s.io"],
};
const TUNNEL: Streams =
    Streams { spdy: &["portforward.k8s.io"], websocket: &["SPDY/3.1+portforward.k8s.io"] };

const SWITCHES: Parameters = &[("input", one), ("output", one), ("error", one), ("tty", one)];

const SHAPES: &[Shape] = &[
    Shape {
        methods: &["GET", "POST"],
        path: |rng| container(rng, "exec"),
        parameters: &[
            ("command", text),
            ("command", text),
            ("command", text),
            ("input", one),
            ("output", one),
            ("error", one),
            ("tty", one),
            ("env", variable),
        ],
        streams: Some(REMOTE_COMMAND),
    },
    Shape {
        methods: &["GET", "POST"],
        path: |rng| container(rng, "attach"),
        parameters: SWITCHES,
        streams: Some(REMOTE_COMMAND),
    },
    Shape {
        methods: &["GET"],
        path: |rng| pod(rng, "portForward"),
        parameters: &[("port", ports)],
        streams: Some(PORT_FORWARD),
    },
    Shape {
        methods: &["GET", "POST"],
        path: |rng| pod(rng, "portForward"),
        parameters: &[],
        streams: Some(TUNNEL),
    },
    Shape {
        methods: &["POST"],
        path: |rng| container(rng, "run"),
        parameters: &[("cmd", text)],
        streams: None,
    },
    Shape {
        methods: &["GET"],
        path: |rng| container(rng, "containerLogs"),
        parameters: &[
            ("follow", boolean),
            ("previous", boolean),
            ("timestamps", boolean),
            ("sinceSeconds", positive),
            ("sinceTime", time),
            ("tailLines", natural),
            ("limitBytes", positive),
            ("stream", |rng| pick(rng, &["All", "Stdout", "Stderr"]).to_owned()),
            ("timeout", |_| "30s".to_owned()),
        ],
        streams: None,
    },
    Shape {
        methods: &["POST"],
        path: |rng| container(rng, "checkpoint"),
        parameters: &[("timeout", natural)],
        streams: None,
    },
    Shape {
        methods: &["GET"],
        path: |rng| {
            pick(rng, &["/pods", "/runningpods/", "/configz", "/flagz", "/statusz"]).to_owned()
        },
        parameters: &[("timeout", |_| "1m30s".to_owned())],
        streams: None,
    },
    Shape {
        methods: &["GET"],
        path: |rng| {
            let files = &["", "syslog", "pods/a_b_c/0.log", "a@b:c=d+e~f", "..a/b..", "private/"];
            format!("/logs/{}", pick(rng, files))
        },
        parameters: &[
            ("query", |rng| {
                pick(rng, &["kubelet", "containerd", "/syslog", "/pods/a.log", "a.service"])
                    .to_owned()
            }),
            ("query", text),
            ("sinceTime", time),
            ("untilTime", time),
            ("tailLines", natural),
            ("boot", |rng| format!("-{}", rng.u8(..))),
            ("pattern", text),
        ],
        streams: None,
    },
    Shape {
        methods: &["GET", "DELETE"],
        path: |rng| {
            pick(
                rng,
                &[
                    "/metrics",
                    "/metrics/cadvisor",
                    "/metrics/resource",
                    "/metrics/probes",
                    "/metrics/slis",
                ],
            )
            .to_owned()
        },
        parameters: &[],
        streams: None,
    },
    Shape {
        methods: &["GET", "POST"],
        path: |_| "/stats/summary".to_owned(),
        parameters: &[("only_cpu_and_memory", boolean)],
        streams: None,
    },
    Shape {
        methods: &["GET"],
        path: |rng| {
            pick(rng, &["/healthz", "/healthz/ping", "/healthz/syncloop", "/healthz/device-plugin"])
                .to_owned()
        },
        parameters: &[("verbose", |_| String::new()), ("exclude", text), ("exclude", text)],
        streams: None,
    },
    Shape {
        methods: &["GET"],
        path: |rng| {
            format!("/debug/pprof/{}", pick(rng, &["heap", "profile", "trace", "goroutine"]))
        },
        parameters: &[("seconds", natural), ("debug", natural), ("gc", natural)],
        streams: None,
    },
    Shape {
        methods: &["PUT"],
        path: |_| "/debug/flags/v".to_owned(),
        parameters: &[],
        streams: None,
    },
];

/// Makes a request that the filter should read, with some luck in its values.
pub fn valid(rng: &mut Rng) -> Request {
    // exec is what most is at stake for, and has most ways to be said.
    let number = if rng.u8(..4) == 0 { 0 } else { rng.usize(..SHAPES.len()) };
    let Some(shape) = SHAPES.get(number) else { return Request::default() };
    let mut target = (shape.path)(rng);
    let mut pairs = Vec::new();
    for (key, value) in shape.parameters {
        if rng.bool() {
            let value = value(rng);
            pairs.push(format!("{key}={}", encode(rng, &value)));
        }
    }
    if !pairs.is_empty() {
        target.push('?');
        target.push_str(&pairs.join("&"));
    }
    let mut method = pick(rng, shape.methods);
    let mut headers = Vec::new();
    if let Some(streams) = shape.streams {
        let is_websocket = !pairs.is_empty() && shape.parameters.len() == 1 || rng.bool();
        if is_websocket {
            method = "GET";
        }
        upgrade(rng, streams, is_websocket, &mut headers);
    }
    for line in [("user-agent", "Go-http-client/1.1"), ("content-length", "0"), ("accept", "*/*")] {
        if rng.u8(..3) == 0 {
            headers.push(line);
        }
    }
    let headers =
        headers.into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    Request {
        method: method.to_owned(),
        target: target.into_bytes(),
        headers: headers.collect(),
        body: Vec::new(),
    }
    .through_envoy()
}

fn upgrade(
    rng: &mut Rng,
    streams: Streams,
    is_websocket: bool,
    headers: &mut Vec<(&'static str, &'static str)>,
) {
    headers.push(("connection", pick(rng, &["Upgrade", "upgrade", "keep-alive, Upgrade"])));
    let (name, protocols) = if is_websocket {
        headers.push(("upgrade", pick(rng, &["websocket", "WebSocket"])));
        headers.push(("sec-websocket-version", "13"));
        headers.push(("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="));
        ("sec-websocket-protocol", streams.websocket)
    } else {
        headers.push(("upgrade", pick(rng, &["SPDY/3.1", "spdy/3.1"])));
        ("x-stream-protocol-version", streams.spdy)
    };
    // Clients of WebSockets name one sub-protocol, or none; those of SPDY name several, a line each.
    let most = if is_websocket { 1 } else { protocols.len() };
    let from = rng.usize(..protocols.len());
    for protocol in protocols.iter().skip(from).take(most) {
        headers.push((name, protocol));
    }
}

/// Percent-encodes what has to be, and some of the rest.
fn encode(rng: &mut Rng, text: &str) -> String {
    let mut encoded = String::new();
    for &byte in text.as_bytes() {
        match byte {
            b' ' if rng.bool() => encoded.push('+'),
            b'-' | b'_' | b'.' | b'~' | b'/' | b'=' | b',' | b':' if rng.u8(..8) != 0 => {
                encoded.push(char::from(byte));
            }
            _ if byte.is_ascii_alphanumeric() && rng.u8(..16) != 0 => {
                encoded.push(char::from(byte));
            }
            _ if rng.bool() => encoded.push_str(&format!("%{byte:02x}")),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn container(rng: &mut Rng, root: &str) -> String {
    format!("{}/{}", pod(rng, root), pick(rng, LABELS))
}

fn pod(rng: &mut Rng, root: &str) -> String {
    format!("/{root}/{}/{}", pick(rng, LABELS), pick(rng, PODS))
}

fn text(rng: &mut Rng) -> String {
    match rng.u8(..4) {
        0 => (0..rng.usize(1..12)).map(|_| rng.char('\u{1}'..)).collect(),
        1 => format!("{}{}", pick(rng, TEXTS), pick(rng, TEXTS)),
        _ => pick(rng, TEXTS).to_owned(),
    }
}

fn one(_: &mut Rng) -> String {
    "1".to_owned()
}

fn boolean(rng: &mut Rng) -> String {
    rng.bool().to_string()
}

fn natural(rng: &mut Rng) -> String {
    let bits = rng.u32(1..64);
    (rng.u64(..) >> bits).to_string()
}

fn positive(rng: &mut Rng) -> String {
    let bits = rng.u32(1..63);
    ((rng.u64(..) >> bits).max(1)).to_string()
}

fn ports(rng: &mut Rng) -> String {
    let ports: Vec<_> = (0..rng.usize(1..4)).map(|_| rng.u16(1..).to_string()).collect();
    ports.join(",")
}

fn variable(rng: &mut Rng) -> String {
    let value = text(rng);
    format!("{}={value}", pick(rng, &["KUBERNETES_EXEC_AUDIT_ID", "A", "a.b-c"]))
}

/// A time of RFC 3339, or what comes close to one.
fn time(rng: &mut Rng) -> String {
    let zone = match rng.u8(..3) {
        0 => format!("{}{:02}:{:02}", pick(rng, &["+", "-"]), rng.u8(..26), rng.u8(..62)),
        _ => "Z".to_owned(),
    };
    let fraction = match rng.u8(..4) {
        0 => format!(".{}", rng.u64(..)),
        _ => String::new(),
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{fraction}{zone}",
        rng.u16(..=9999),
        rng.u8(..14),
        rng.u8(..33),
        rng.u8(..25),
        rng.u8(..61),
        rng.u8(..62),
    )
}
