//! Requests that are too large for a file: refused, or answered, in bounded memory and work, while
//! others are served.

use std::fmt::Write as _;

use anyhow::ensure;
use gatelet_tests::client::{RawClient, Response, get};
use gatelet_tests::fixture::{ALL, Fixture};
use serde_json::Value;

/// A target of whatever is repeated, up to about this many bytes.
const LARGE: usize = 60_000;

#[tokio::test]
async fn what_is_large_is_refused_or_answered_and_costs_no_memory_that_stays() -> anyhow::Result<()>
{
    let fixture = Fixture::start(ALL).await?;
    let log = "/containerLogs/ns/pod/c";
    let exec = "/exec/ns/pod/c?output=1";
    let repeated = |part: &str| part.repeat(LARGE / part.len());
    let lines = |count: usize| {
        (0..count).fold(String::new(), |mut lines, number| {
            write!(lines, "X{number}: a\r\n").expect("a string takes everything");
            lines
        })
    };
    let spdy = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n";
    let cases = [
        ("a long name", format!("/containerLogs/ns/{}/c", repeated("p")), String::new(), 400),
        ("a long path", repeated("/a"), String::new(), 403),
        ("many dot segments", format!("{}{log}", repeated("/a/..")), String::new(), 400),
        ("many slashes", format!("{}{log}", repeated("/")), String::new(), 400),
        ("many escapes", repeated("/%2e"), String::new(), 400),
        ("a long file", format!("/logs/{}", repeated("a/b")), String::new(), 404),
        ("10,000 parameters", format!("{log}?{}", "a=1&".repeat(10_000)), String::new(), 400),
        ("10,001 empty parameters", format!("{log}?{}", "&".repeat(10_001)), String::new(), 400),
        ("257 parameters", format!("{log}?{}", "a=1&".repeat(257)), String::new(), 400),
        ("a long key", format!("{log}?{}=1", repeated("k")), String::new(), 400),
        ("a long number", format!("{log}?tailLines={}", repeated("9")), String::new(), 400),
        (
            "a long value in escapes",
            format!("{log}?stream={}", repeated("%41")),
            String::new(),
            400,
        ),
        ("a long argument", format!("{exec}&command={}", repeated("a")), spdy.to_owned(), 101),
        ("250 arguments", format!("{exec}{}", "&command=a".repeat(250)), spdy.to_owned(), 101),
        ("S9 a target of 70 KB", format!("/{}", "a".repeat(70_000)), String::new(), 431),
        ("1,000 headers", log.to_owned(), lines(1_000), 431),
        ("64 headers", log.to_owned(), lines(63), 200),
        ("65 headers", log.to_owned(), lines(64), 431),
        ("a header of 50 KB", log.to_owned(), format!("X: {}\r\n", "a".repeat(50_000)), 200),
        ("a header of 60 KB", log.to_owned(), format!("X: {}\r\n", "a".repeat(61_440)), 431),
        ("a name of 60 KB", log.to_owned(), format!("{}: a\r\n", "X".repeat(61_440)), 431),
        ("a host of 60 KB", log.to_owned(), format!("Host: {}\r\n", "n".repeat(61_440)), 431),
        (
            "an agent of 50 KB",
            log.to_owned(),
            format!("User-Agent: {}\r\n", "a".repeat(50_000)),
            200,
        ),
        (
            "10,000 tokens of Connection",
            log.to_owned(),
            format!("Connection: {}\r\n", "a,".repeat(10_000)),
            400,
        ),
        (
            "a list of 3,000 sub-protocols",
            format!("{exec}&command=id"),
            format!("{spdy}X-Stream-Protocol-Version: {}\r\n", "v4.channel.k8s.io,".repeat(3_000)),
            400,
        ),
    ];
    // Everything that grows with its use, such as V8's heap, has grown after the first round.
    let mut allocated = Vec::new();
    for _ in 0..3 {
        for (name, target, lines, want) in &cases {
            let answer = send(&fixture, target, lines).await?;
            assert_eq!(answer.status, *want, "{name}: {}", answer.text());
        }
        assert_eq!(get(&fixture.apiserver()?, log).await?.status, 200, "others are served");
        allocated.push(allocated_bytes(&fixture).await?);
    }
    let grown =
        allocated.last().zip(allocated.get(1)).map(|(last, before)| last.saturating_sub(*before));
    assert!(grown < Some(8 << 20), "Envoy's memory grows: {allocated:?}");

    let records = fixture.gate.decisions().records()?;
    assert!(!records.is_empty(), "no records found");
    let longest = records.iter().map(|record| record.to_string().len()).max();
    assert!(longest < Some(256 << 10), "a record of {longest:?} bytes");
    Ok(())
}

#[tokio::test]
async fn a_costly_evaluation_ends_at_its_budget_and_others_are_served() -> anyhow::Result<()> {
    // Each argument with each other one: 250 of them are 62,500 comparisons.
    let fixture = Fixture::start(
        r#"
package kubelet.authz

default decision := false

decision if count([1 | some a in input.query.command; some b in input.query.command; a != b]) >= 0
"#,
    )
    .await?;
    let exec =
        |arguments: usize| format!("/exec/ns/pod/c?output=1{}", "&command=a".repeat(arguments));
    let spdy = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n";
    for _ in 0..3 {
        let answer = send(&fixture, &exec(250), spdy).await?;
        assert_eq!((answer.status, &*answer.text()), (403, "Denied by policy"));
        assert_eq!(send(&fixture, &exec(2), spdy).await?.status, 101);
    }
    let is_budget = |record: &Value| record["decision"]["reason"] == "budget";
    let record = fixture.gate.decisions().wait_for("the spent budget", is_budget).await?;
    assert_eq!(record["decision"]["result"], false, "{record}");
    assert_eq!(fixture.reached(), [exec(2), exec(2), exec(2)]);
    Ok(())
}

/// A GET on a connection of its own, answered up to the end of its head.
async fn send(fixture: &Fixture, target: &str, lines: &str) -> anyhow::Result<Response> {
    let host = if lines.starts_with("Host: ") { "" } else { "Host: n\r\n" };
    let mut client = RawClient::connect(&fixture.apiserver()?).await?;
    let request = format!("GET {target} HTTP/1.1\r\n{host}{lines}\r\n");
    // Envoy may close the connection while the rest of a head is under way.
    let sent = client.send(request.as_bytes()).await;
    let Some(head) = client.next_head().await? else {
        sent?;
        anyhow::bail!("no answer");
    };
    if head.status == 200 { Ok(head) } else { client.body(head).await }
}

/// What Envoy's allocator has handed out.
async fn allocated_bytes(fixture: &Fixture) -> anyhow::Result<u64> {
    let memory: Value = serde_json::from_str(&fixture.gate.admin().get("/memory").await?)?;
    let allocated = memory.pointer("/allocated").and_then(Value::as_str);
    let allocated = allocated.and_then(|bytes| bytes.parse().ok());
    ensure!(allocated.is_some_and(|bytes: u64| bytes > 0), "{memory}");
    allocated.ok_or_else(|| anyhow::anyhow!("{memory}"))
}
