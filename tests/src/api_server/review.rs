//! SubjectAccessReviews: what somebody else may do.

use hyper::StatusCode;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use serde_json::{Value, json};

use super::answer::Answer;
use super::resources::decode;
use super::status::Status;
use super::store::set;
use super::{Permission, Rbac, User};

/// Answers by RBAC.
pub(super) fn answer(rbac: &Rbac, mut body: Value) -> Result<Answer, Status> {
    let review: SubjectAccessReview = decode(&body)?;
    let spec = review.spec;
    let Some(attributes) = spec.resource_attributes else {
        return Err(Status::bad_request("only resourceAttributes are known here"));
    };
    let resource = attributes.resource.unwrap_or_default();
    let wanted = Permission {
        namespace: attributes.namespace.filter(|namespace| !namespace.is_empty()),
        verb: attributes.verb.unwrap_or_default(),
        group: attributes.group.unwrap_or_default(),
        resource: match attributes.subresource.filter(|subresource| !subresource.is_empty()) {
            Some(subresource) => format!("{resource}/{subresource}"),
            None => resource,
        },
        name: attributes.name.filter(|name| !name.is_empty()),
    };
    let user =
        User { name: spec.user.unwrap_or_default(), groups: spec.groups.unwrap_or_default() };
    let allowed = rbac.allows(&user, &wanted);
    set(&mut body, &["status"], json!({"allowed": allowed}));
    Ok(Answer::Object(StatusCode::CREATED, body))
}
