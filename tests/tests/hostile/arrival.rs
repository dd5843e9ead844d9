//! What a request may look like when it arrives at the kubelet, whatever it looked like before.

use anyhow::ensure;
use gatelet_tests::kubelet::Recorded;

/// What arrives is what its line says, and carries nothing that the kubelet could read otherwise or
/// take for somebody else's right.
pub(crate) fn is_plain(request: &Recorded) -> anyhow::Result<()> {
    let head = request.head.escape_ascii();
    ensure!(!request.is_malformed(), "the kubelet could not read {head}");
    ensure!(request.body_length == 0, "{} bytes of body came with {head}", request.body_length);
    ensure!(request.header("host").len() == 1, "not one host: {head}");
    for (name, value) in &request.headers {
        let name = name.to_ascii_lowercase();
        let odd = match name.as_str() {
            "authorization" | "proxy-authorization" | "cookie" | "x-forwarded-client-cert" => true,
            "expect" | "http2-settings" | "te" | "trailer" | "transfer-encoding" => true,
            "content-length" => value != b"0",
            name => {
                name.contains('_')
                    || ["impersonate-", "x-remote-"].iter().any(|it| name.starts_with(it))
            }
        };
        ensure!(!odd, "{name} in {head}");
    }
    let lines = request.head.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    for line in lines {
        let text = line.strip_suffix(b"\r");
        ensure!(text.is_some_and(|text| !text.contains(&b'\r')), "a line's end in {head}");
    }
    Ok(())
}
