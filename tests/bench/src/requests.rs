//! What callers send.

use std::fmt::Write as _;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The log of a container, allowed.
    Logs,
    /// A command in a container, allowed.
    Exec,
    /// The log of a container, denied.
    Denied,
    /// A path with two readings.
    Malformed,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Logs, Self::Exec, Self::Denied, Self::Malformed];

    /// The request about a pod, as the API server sends it; each pod has a decision of its own.
    pub(crate) fn request(self, pod: usize) -> String {
        let (method, path) = match self {
            Self::Logs => ("GET", format!("/containerLogs/default/web-{pod}/app?tailLines=10")),
            Self::Exec => {
                ("POST", format!("/exec/default/web-{pod}/app?command=id&error=1&output=1"))
            }
            Self::Denied => {
                ("GET", format!("/containerLogs/kube-system/web-{pod}/app?tailLines=10"))
            }
            Self::Malformed => ("GET", format!("/containerLogs/default/web-{pod}/../app")),
        };
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\n\
             Host: worker-1:10250\r\n\
             User-Agent: kube-apiserver/v1.36.2 (linux/amd64) kubernetes/0000000\r\n\
             Accept-Encoding: gzip\r\n"
        );
        // The filter's answer to such a request ends the connection; so that of all others does, too.
        if self == Self::Malformed {
            request.push_str("Connection: close\r\n");
        }
        if self == Self::Exec {
            request.push_str(
                "Content-Length: 0\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
                 X-Stream-Protocol-Version: v4.channel.k8s.io\r\n",
            );
        }
        request.push_str("\r\n");
        request
    }

    /// A download of so many bytes.
    pub(crate) fn download(bytes: u64) -> String {
        let mut request = Self::Logs.request(0);
        let from = "tailLines=10";
        request = request.replace(from, &format!("limitBytes={bytes}"));
        request
    }

    /// A log that is followed.
    pub(crate) fn follow() -> String {
        Self::Logs.request(0).replace("tailLines=10", "follow=true")
    }

    /// An exec over a WebSocket.
    pub(crate) fn websocket() -> String {
        let mut request = String::new();
        // Writing to a `String` can't fail.
        let _ = write!(
            request,
            "GET /exec/default/web-0/app?command=id&error=1&output=1 HTTP/1.1\r\n\
             Host: worker-1:10250\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n"
        );
        request
    }
}
