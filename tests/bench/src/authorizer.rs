//! The smallest external authorizer: Envoy's ext_authz over gRPC, with an answer for everybody, or
//! with regorus behind it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use gatelet_bench::policies;
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::program::Program;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine, Rc, Value};
use serde_json::json;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

/// Serves on a port that the system picks, and prints its address.
///
/// # Errors
/// When there is no port, or the policy doesn't compile.
pub(crate) async fn serve(with_regorus: bool) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address: SocketAddr = listener.local_addr()?;
    let policy = with_regorus.then(Policy::compile).transpose()?.map(Arc::new);
    println!("{address}");
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Ok(Server::builder().add_service(Authorization(policy)).serve_with_incoming(incoming).await?)
}

/// A compiled policy, and its data. Each request has a register VM of its own, as threads share it.
struct Policy {
    program: Arc<Program>,
    data: Value,
}

impl Policy {
    fn compile() -> anyhow::Result<Self> {
        let mut engine = Engine::new();
        engine.add_policy("own.rego".to_owned(), policies::OWN.to_owned())?;
        let data = Value::from(policies::data());
        engine.add_data(data.clone())?;
        let entrypoint: Rc<str> = "data.kubelet.authz.decision".into();
        let compiled = engine.compile_with_entrypoint(&entrypoint)?;
        Ok(Self { program: Compiler::compile_from_policy(&compiled, &[&entrypoint])?, data })
    }

    fn allows(&self, request: &HttpRequest) -> bool {
        let path = request.path.split('?').next().unwrap_or_default();
        let mut segments = path.split('/').skip(1);
        let mut next = || segments.next().unwrap_or_default();
        let (endpoint, namespace, pod, container) = (next(), next(), next(), next());
        let input = json!({
            "method": request.method, "path": path, "endpoint": endpoint, "namespace": namespace,
            "pod": pod, "container": container,
            "exec": {"command": ["id"], "stdin": false, "tty": false},
            "user_agent": request.headers.get("user-agent"),
        });
        let mut vm = RegoVM::new();
        vm.load_program(Arc::clone(&self.program));
        let decided = vm.set_data(self.data.clone()).and_then(|()| {
            vm.set_input(Value::from(input));
            vm.execute_entry_point_by_index(0)
        });
        decided.is_ok_and(|decision| decision["allow"] == Value::from(true))
    }
}

/// `envoy.service.auth.v3.Authorization`.
#[derive(Clone)]
struct Authorization(Option<Arc<Policy>>);

impl NamedService for Authorization {
    const NAME: &'static str = "envoy.service.auth.v3.Authorization";
}

impl Service<http::Request<Body>> for Authorization {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let check = Check(self.0.clone());
        // It has one method.
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(check, request).await) })
    }
}

struct Check(Option<Arc<Policy>>);

impl UnaryService<CheckRequest> for Check {
    type Response = CheckResponse;
    type Future = BoxFuture<'static, Result<Response<CheckResponse>, Status>>;

    fn call(&mut self, request: Request<CheckRequest>) -> Self::Future {
        let policy = self.0.clone();
        Box::pin(async move {
            let http = request.into_inner().attributes.and_then(|it| it.request);
            let http = http.and_then(|request| request.http).unwrap_or_default();
            let allows = policy.is_none_or(|policy| policy.allows(&http));
            // `google.rpc.Code`: OK, PERMISSION_DENIED.
            let status = RpcStatus { code: if allows { 0 } else { 7 } };
            Ok(Response::new(CheckResponse { status: Some(status) }))
        })
    }
}

/// What is needed of `envoy.service.auth.v3.CheckRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<AttributeContext>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AttributeContext {
    #[prost(message, optional, tag = "4")]
    request: Option<AttributeRequest>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AttributeRequest {
    #[prost(message, optional, tag = "2")]
    http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HttpRequest {
    #[prost(string, tag = "2")]
    method: String,
    #[prost(map = "string, string", tag = "3")]
    headers: HashMap<String, String>,
    #[prost(string, tag = "4")]
    path: String,
}

/// What is needed of `envoy.service.auth.v3.CheckResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<RpcStatus>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
}
