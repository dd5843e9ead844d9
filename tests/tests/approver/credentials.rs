//! How the API server knows the approver, and how it sees what a kubelet serves.

use gatelet_certs::{Cluster, Persona};
use gatelet_tests::api_server::{Credential, Options, Recorded, StandInApiServer};
use gatelet_tests::approver::{self, user};
use gatelet_tests::gate;
use sha2::{Digest as _, Sha256};

use crate::support::{Fixture, READABLE, Setup, api_server};

#[tokio::test]
async fn a_renewed_client_certificate_is_used_without_a_restart() -> anyhow::Result<()> {
    let fixture = Fixture::start(READABLE).await?;
    fixture.ask("before")?;
    fixture.issued("before").await?;
    let renewed = fixture.cluster.issue(Persona::Approver)?;
    let updates = fixture.approver.admin().stat(UPDATED).await?;
    fixture.approver.rotate_certificate(&renewed)?;
    fixture.approver.admin().wait_for_stat(UPDATED, |count| count > updates).await?;

    // A connection keeps the certificate that it was made with.
    fixture.server.hang_up();
    let digest = Sha256::digest(pem::parse(renewed.certificate)?.contents());
    let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let renewed = Credential::Certificate(digest);
    let shown = |asked: &[Recorded]| asked.iter().any(|asked| asked.credential == renewed);
    fixture.server.wait_for_requests("the renewed certificate", shown).await?;
    fixture.ask("after")?;
    fixture.issued("after").await?;
    Ok(())
}

/// How often Envoy took over what it shows the API server, or trusts.
const UPDATED: &str = "cluster.api_server.client_ssl_socket_factory.ssl_context_update_by_sds";

#[tokio::test]
async fn a_renewed_token_is_used_without_a_restart() -> anyhow::Result<()> {
    let credential = approver::Credential::Token("first".to_owned());
    let setup = Setup { credential: credential.clone(), ..Setup::rego(READABLE)? };
    let fixture = Fixture::start_as(setup).await?;
    fixture.ask("before")?;
    fixture.issued("before").await?;
    let by_token = |asked: &Recorded| asked.credential == Credential::Token("first".to_owned());
    assert!(fixture.server.requests().iter().all(by_token));

    // From here on, the first one is good for nothing.
    fixture.server.accept_token("second", user(&credential));
    fixture.approver.rotate_token("second")?;
    fixture.ask("after")?;
    fixture.issued("after").await?;
    Ok(())
}

/// Approves renewals alone: what is served now has the same names as what is asked for.
const RENEWALS: &str = r#"
package csr.approval

default decision := {"decision": "leave", "rule": "first", "reason": "Nothing like it is served."}

decision := {"decision": "approve", "rule": "renewal", "reason": "It is served already."} if {
	input.serving.sans.dns == input.request.sans.dns
	input.serving.subject.common_name == input.request.subject.common_name
}
"#;

#[tokio::test]
async fn what_a_kubelet_serves_is_known_only_if_the_clusters_ca_signed_it() -> anyhow::Result<()> {
    for signed in [true, false] {
        let cluster = gate::cluster()?;
        let stranger = gate::cluster()?;
        let authority = if signed { &cluster } else { &stranger };
        let kubelet = kubelet(&cluster, authority.issue(Persona::KubeletServingHardened)?)?;
        let server = api_server(&cluster)?;
        let setup = Setup { kubelet: Some(kubelet.address()), ..Setup::rego(RENEWALS)? };
        let fixture = Fixture::start_before(cluster, server, setup).await?;
        fixture.ask("renewal")?;
        if signed {
            fixture.issued("renewal").await?;
        } else {
            fixture.approver.wait_for("gatelet_approver_left", |left| left > 0).await?;
        }
        let record = fixture.approver.decisions().wait_for("the record", |_| true).await?;
        assert_eq!(record["input"]["serving"].is_object(), signed, "{record}");
        fixture.approver.stop();
    }
    Ok(())
}

/// What a kubelet is to somebody without a certificate: TLS, and a 401.
fn kubelet(cluster: &Cluster, serving: gatelet_certs::Pair) -> anyhow::Result<StandInApiServer> {
    StandInApiServer::start(Options { serving: serving.into(), ..Options::new(cluster, "")? })
}
