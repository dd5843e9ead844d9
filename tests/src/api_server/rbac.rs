//! Role-based access control, by the very manifests that are shipped.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context as _, bail};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use serde_json::Value;

use super::User;

/// One thing that may be done, or was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The namespace; `None` is the whole cluster.
    pub namespace: Option<String>,
    /// Such as `get` or `approve`.
    pub verb: String,
    /// The API group; empty for the core.
    pub group: String,
    /// The resource, with its subresource after a slash.
    pub resource: String,
    /// Only the object of this name.
    pub name: Option<String>,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, verb, group, resource, name } = self;
        write!(f, "{verb} {resource}.{group}")?;
        if let Some(name) = name {
            write!(f, " {name}")?;
        }
        namespace.as_ref().map_or(Ok(()), |namespace| write!(f, " in {namespace}"))
    }
}

/// Roles and who has them.
#[derive(Debug, Default)]
pub struct Rbac {
    grants: Vec<Grant>,
}

#[derive(Debug)]
struct Grant {
    subjects: Vec<Subject>,
    permissions: Vec<Permission>,
}

impl Rbac {
    /// Reads manifests of any number of documents; what is neither a role nor a binding is skipped.
    ///
    /// # Errors
    /// When one can't be read, or binds a role that isn't there.
    pub fn parse(manifests: &[String]) -> anyhow::Result<Self> {
        let mut documents: Vec<Value> = Vec::new();
        for manifest in manifests {
            documents.extend(serde_saphyr::from_multiple::<Value>(manifest)?);
        }
        let mut roles: Vec<(String, Option<String>, Vec<PolicyRule>)> = Vec::new();
        let mut bindings: Vec<(Option<String>, RoleRef, Vec<Subject>)> = Vec::new();
        for document in documents {
            match document.get("kind").and_then(Value::as_str).context("a document without kind")? {
                "ClusterRole" => {
                    let role: ClusterRole = serde_json::from_value(document)?;
                    let name = role.metadata.name.context("a ClusterRole without name")?;
                    roles.push((name, None, role.rules.unwrap_or_default()));
                }
                "Role" => {
                    let role: Role = serde_json::from_value(document)?;
                    let name = role.metadata.name.context("a Role without name")?;
                    roles.push((name, role.metadata.namespace, role.rules.unwrap_or_default()));
                }
                "ClusterRoleBinding" => {
                    let binding: ClusterRoleBinding = serde_json::from_value(document)?;
                    bindings.push((None, binding.role_ref, binding.subjects.unwrap_or_default()));
                }
                "RoleBinding" => {
                    let binding: RoleBinding = serde_json::from_value(document)?;
                    let namespace = binding.metadata.namespace.or(Some("default".to_owned()));
                    bindings.push((
                        namespace,
                        binding.role_ref,
                        binding.subjects.unwrap_or_default(),
                    ));
                }
                _ => {}
            }
        }
        let mut grants = Vec::new();
        for (namespace, role, subjects) in bindings {
            let found = roles.iter().find(|(name, home, _)| {
                *name == role.name
                    && (role.kind == "ClusterRole") == home.is_none()
                    && (home.is_none() || *home == namespace)
            });
            let Some((_, _, rules)) = found else {
                bail!("a binding to {} {}, which isn't there", role.kind, role.name)
            };
            let permissions = rules.iter().flat_map(|rule| permissions(rule, &namespace)).collect();
            grants.push(Grant { subjects, permissions });
        }
        Ok(Self { grants })
    }

    /// Whether a user may do this.
    pub(super) fn allows(&self, user: &User, wanted: &Permission) -> bool {
        self.of(user).any(|permission| permission.covers(wanted))
    }

    /// Everything that a user may do.
    pub(super) fn granted(&self, user: &User) -> BTreeSet<Permission> {
        self.of(user).cloned().collect()
    }

    fn of(&self, user: &User) -> impl Iterator<Item = &Permission> {
        let grants = self.grants.iter().filter(|grant| {
            grant.subjects.iter().any(|subject| match subject.kind.as_str() {
                "User" => subject.name == user.name,
                "Group" => user.groups.contains(&subject.name),
                "ServiceAccount" => subject.namespace.as_ref().is_some_and(|namespace| {
                    user.name == format!("system:serviceaccount:{namespace}:{}", subject.name)
                }),
                _ => false,
            })
        });
        grants.flat_map(|grant| &grant.permissions)
    }
}

impl Permission {
    fn covers(&self, wanted: &Self) -> bool {
        (self.namespace.is_none() || self.namespace == wanted.namespace)
            && self.verb == wanted.verb
            && self.group == wanted.group
            && self.resource == wanted.resource
            && (self.name.is_none() || self.name == wanted.name)
    }
}

/// Every combination that a rule grants. Wildcards aren't known here: what is shipped has none.
fn permissions(rule: &PolicyRule, namespace: &Option<String>) -> Vec<Permission> {
    let names: Vec<Option<String>> = match &rule.resource_names {
        Some(names) if !names.is_empty() => names.iter().cloned().map(Some).collect(),
        _ => vec![None],
    };
    let mut permissions = Vec::new();
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            for verb in &rule.verbs {
                permissions.extend(names.iter().map(|name| Permission {
                    namespace: namespace.clone(),
                    verb: verb.clone(),
                    group: group.clone(),
                    resource: resource.clone(),
                    name: name.clone(),
                }));
            }
        }
    }
    permissions
}
