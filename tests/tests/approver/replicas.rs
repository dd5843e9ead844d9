//! Several approvers at once.

use gatelet_tests::api_server::REQUESTS;
use gatelet_tests::approver::{Approver, Options};

use crate::support::{Fixture, READABLE, Setup, conditions};

#[tokio::test]
async fn two_replicas_do_not_fight() -> anyhow::Result<()> {
    let fixture = Fixture::start(READABLE).await?;
    let policy = Setup::rego(READABLE)?.policy;
    let options = Options::new(&fixture.cluster, fixture.server.address(), &policy);
    let other = Approver::start(options).await?;
    let names: Vec<_> = (0..50).map(|number| format!("csr-{number}")).collect();
    for name in &names {
        fixture.ask(name)?;
    }
    for name in &names {
        fixture.issued(name).await?;
    }
    // Both have gone through all of it, so neither has anything left to undo.
    for approver in [&fixture.approver, &other] {
        approver.wait_for("gatelet_approver_pending", |pending| pending == 0).await?;
    }
    for name in &names {
        let history = fixture.server.history(REQUESTS, name);
        let conditions: Vec<_> = history.iter().map(|object| conditions(object).len()).collect();
        assert_eq!(conditions, [0, 1, 1], "{name}: created, approved, issued");
    }
    other.stop();
    Ok(())
}
