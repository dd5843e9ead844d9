//! The stand-in API server, checked by a client that knows nothing of this project.

use gatelet_certs::{Cluster, Persona, Subject};
use gatelet_tests::api_server::{Fault, Options, REQUESTS, StandInApiServer, User};
use gatelet_tests::csr::{KUBELET_CLIENT, KUBELET_SERVING, Kubelet};
use gatelet_tests::gate;
use gatelet_tests::tls::Identity;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition,
};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, Error};
use serde_json::json;

use self::kube_client::client;

#[path = "support/kube_client.rs"]
mod kube_client;

const ROLES: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: approver}
rules:
- {apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests], verbs: [get, list]}
- {apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests/approval], verbs: [update]}
- apiGroups: [certificates.k8s.io]
  resources: [signers]
  resourceNames: [kubernetes.io/kubelet-serving]
  verbs: [approve]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: approver}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: approver}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: approver}
"#;

#[tokio::test]
async fn lists_come_in_pages_of_one_signer() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    let spec = fixture.kubelet.request()?.spec;
    let mut other = spec.clone();
    other["signerName"] = json!(KUBELET_CLIENT);
    for number in 0..5 {
        fixture.server.add_request(&format!("serving-{number}"), &spec);
        fixture.server.add_request(&format!("client-{number}"), &other);
    }
    let requests = fixture.requests("approver")?;
    let fields = format!("spec.signerName={KUBELET_SERVING}");
    let mut params = ListParams::default().fields(&fields).limit(2);
    let mut pages = Vec::new();
    loop {
        let page = requests.list(&params).await?;
        let names = page.items.iter().filter_map(|item| item.metadata.name.clone());
        pages.push(names.collect::<Vec<_>>());
        // Of a selection, nobody knows how much is left.
        assert_eq!(page.metadata.remaining_item_count, None);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    let want = [vec!["serving-0", "serving-1"], vec!["serving-2", "serving-3"], vec!["serving-4"]];
    assert_eq!(pages, want);
    Ok(())
}

#[tokio::test]
async fn an_approval_is_signed_by_the_clusters_ca() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    let requested = fixture.kubelet.request()?;
    fixture.server.add_request("good", &requested.spec);
    let approver = fixture.requests("approver")?;
    let approved = condition(approver.get("good").await?, "Approved", "True");
    approver.replace_subresource("approval", "good", &PostParams::default(), &approved).await?;

    let object = fixture.server.object(REQUESTS, "good").expect("the request");
    let pair = requested.issued(&object, "")?;
    let der = pem::parse(&pair.certificate)?;
    let (_, certificate) = x509_parser::parse_x509_certificate(der.contents())?;
    assert_eq!(certificate.subject().to_string(), "O=system:nodes, CN=system:node:worker-1");
    assert_eq!(certificate.issuer().to_string(), "CN=kubernetes");
    Ok(())
}

#[tokio::test]
async fn an_approval_keeps_to_the_rules() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    fixture.server.add_request("good", &fixture.kubelet.request()?.spec);
    let approver = fixture.requests("approver")?;
    let fresh = approver.get("good").await?;
    let stale = {
        let mut stale = fresh.clone();
        stale.metadata.resource_version = Some("0".to_owned());
        condition(stale, "Approved", "True")
    };
    let changed = {
        let mut changed = condition(fresh.clone(), "Approved", "True");
        changed.spec.usages = Some(vec!["client auth".to_owned()]);
        changed
    };
    let both = condition(condition(fresh.clone(), "Approved", "True"), "Denied", "True");
    let doubtful = condition(fresh.clone(), "Approved", "Unknown");
    for (object, code, said) in [
        (&stale, 409, "the object has been modified"),
        (&changed, 422, "spec: is immutable"),
        (&both, 422, "mutually exclusive"),
        (&doubtful, 422, "Unsupported value"),
    ] {
        let error =
            approver.replace_subresource("approval", "good", &PostParams::default(), object).await;
        let Err(Error::Api(status)) = error else { panic!("{said}: {error:?}") };
        assert_eq!(status.code, code, "{said}: {status:?}");
        assert!(status.message.contains(said), "{said}: {status:?}");
    }
    assert_eq!(fixture.server.history(REQUESTS, "good").len(), 1);

    let denied = condition(fresh, "Denied", "True");
    let denied =
        approver.replace_subresource("approval", "good", &PostParams::default(), &denied).await?;
    let undone = {
        let mut undone = denied;
        undone.status = None;
        condition(undone, "Approved", "True")
    };
    let error =
        approver.replace_subresource("approval", "good", &PostParams::default(), &undone).await;
    assert!(matches!(error, Err(Error::Api(status)) if status.code == 422));
    Ok(())
}

#[tokio::test]
async fn rbac_decides_who_may_do_what() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    let mut spec = fixture.kubelet.request()?.spec;
    fixture.server.add_request("serving", &spec);
    spec["signerName"] = json!(KUBELET_CLIENT);
    fixture.server.add_request("client", &spec);

    let stranger = fixture.requests("stranger")?.list(&ListParams::default()).await;
    let Err(Error::Api(status)) = stranger else { panic!("{stranger:?}") };
    assert_eq!(
        (status.code, status.message.as_str()),
        (
            403,
            "certificatesigningrequests.certificates.k8s.io is forbidden: User \"stranger\" cannot \
             list resource \"certificatesigningrequests\" in API group \"certificates.k8s.io\" at \
             the cluster scope"
        )
    );
    let approver = fixture.requests("approver")?;
    let approved = condition(approver.get("client").await?, "Approved", "True");
    let refused =
        approver.replace_subresource("approval", "client", &PostParams::default(), &approved).await;
    let Err(Error::Api(status)) = refused else { panic!("{refused:?}") };
    let said = "user not permitted to approve requests with signerName";
    assert!(status.code == 403 && status.message.contains(said), "{status:?}");

    // Whom a request is from is not the client's to say.
    let node = fixture.of(fixture.cluster.issue(Persona::KubeletClient)?.into())?;
    let mut request = serde_json::from_value::<CertificateSigningRequest>(json!({
        "metadata": {"generateName": "csr-"}, "spec": spec,
    }))?;
    request.spec.username = Some("admin".to_owned());
    let created = node.create(&PostParams::default(), &request).await?;
    assert_eq!(created.spec.username.as_deref(), Some("system:node:worker-1"));
    let recorded = fixture.server.requests();
    let last = recorded.last().expect("a request");
    assert_eq!(
        last.permission.to_string(),
        "create certificatesigningrequests.certificates.k8s.io"
    );
    Ok(())
}

#[tokio::test]
async fn faults_come_as_often_as_they_are_asked_for() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    fixture.server.accept_token("unused", User::service_account("gatelet", "approver"));
    let approver = fixture.requests("approver")?;
    for (fault, code) in [(Fault::InternalError, 500), (Fault::Expired, 410)] {
        fixture.server.fail("list", REQUESTS, fault.clone(), 1);
        let error = approver.list(&ListParams::default()).await;
        assert!(matches!(&error, Err(Error::Api(status)) if status.code == code), "{error:?}");
        assert_eq!(fixture.server.faults_left(), 0);
        approver.list(&ListParams::default()).await?;
    }
    Ok(())
}

struct Fixture {
    server: StandInApiServer,
    cluster: Cluster,
    kubelet: Kubelet,
}

impl Fixture {
    fn start() -> anyhow::Result<Self> {
        let cluster = gate::cluster()?;
        let server = StandInApiServer::start(Options::new(&cluster, ROLES)?)?;
        let kubelet = Kubelet {
            node: "worker-1".to_owned(),
            dns: vec!["worker-1".to_owned()],
            ip: vec![[10, 0, 0, 11].into()],
        };
        Ok(Self { server, cluster, kubelet })
    }

    /// The requests, as this user sees them.
    fn requests(&self, user: &str) -> anyhow::Result<Api<CertificateSigningRequest>> {
        let subject = Subject { common_name: user.to_owned(), organizations: Vec::new() };
        self.of(self.cluster.client(subject)?.into())
    }

    fn of(&self, identity: Identity) -> anyhow::Result<Api<CertificateSigningRequest>> {
        let ca = self.cluster.authority(gatelet_certs::Ca::Cluster).certificate().as_bytes();
        let client: Client = client(self.server.address(), "kubernetes", ca, &identity)?;
        Ok(Api::all(client))
    }
}

fn condition(
    mut request: CertificateSigningRequest,
    kind: &str,
    status: &str,
) -> CertificateSigningRequest {
    let conditions = &mut request.status.get_or_insert_default().conditions;
    conditions.get_or_insert_default().push(CertificateSigningRequestCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some("Test".to_owned()),
        message: Some("a test".to_owned()),
        ..CertificateSigningRequestCondition::default()
    });
    request
}
