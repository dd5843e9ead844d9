//! What the policy decides is what happens, and is on record when it does.

use gatelet_tests::client::{OpenError, get, open_spdy};

use crate::support::{Fixture, LOGS};

const EXEC: &str = "/exec/default/web-0/app?command=id&output=1";
const LOG: &str = "/containerLogs/default/web-0/app?tailLines=1";

#[tokio::test]
async fn a_denied_exec_never_reaches_the_kubelet_and_allowed_logs_do() -> anyhow::Result<()> {
    let fixture = Fixture::start(LOGS).await?;
    let apiserver = fixture.apiserver()?;

    let Err(OpenError::Refused(refusal)) =
        open_spdy(&apiserver, EXEC, &["v4.channel.k8s.io"]).await
    else {
        panic!("the exec was not refused");
    };
    assert_eq!((refusal.status, &*refusal.text()), (403, "Denied by policy"));
    assert_eq!(fixture.reached(), Vec::<String>::new());

    let logs = get(&apiserver, LOG).await?;
    assert_eq!(logs.status, 200, "{}", logs.text());
    assert_eq!(fixture.reached(), [LOG]);
    Ok(())
}
