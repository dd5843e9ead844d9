# METADATA
# title: Approval of kubelets' certificate signing requests
# description: |
#   Approves what passes every check of the preset in `data.csr.preset`: `strict` (the default),
#   `inventory` or `rubber-stamp`. Passed checks are a set: what is undefined, or fails, is not in it
#   and approves nothing. Denials are a set of their own: only what no time and no other object changes
#   is denied for good, all else is left for later or for a person.
package csr.approval

# Rules are named by their full path: of an imported package, regorus evaluates every rule.

# METADATA
# description: What becomes of the request. `reason` stands in its condition and in the event.
# entrypoint: true
default decision := {"decision": "leave", "rule": "undecided", "reason": "No preset applies to the request."}

decision := {"decision": "deny", "rule": _denied[0], "reason": concat(" ", [_reason(check) | some check in _denied])} if {
	_denied != []
} else := {"decision": "leave", "rule": _missing[0], "reason": concat(" ", [_reason(check) | some check in _missing])} if {
	_missing != []
} else := {"decision": "approve", "rule": preset, "reason": data.csr.approval.names.sources} if {
	input.signer == "kubernetes.io/kubelet-serving"
	_required != set()
	denials == set()
	_required - passed == set()
} else := {"decision": "approve", "rule": preset, "reason": data.csr.approval.client.reason} if {
	input.signer == "kubernetes.io/kube-apiserver-client-kubelet"
	_required != set()
	denials == set()
	_required - passed == set()
}

# METADATA
# description: The preset that applies.
default preset := "strict"

preset := data.csr.preset

# METADATA
# description: The names of all checks that the request passes.
passed contains check if some check in data.csr.approval.kubernetes.passed

passed contains check if some check in data.csr.approval.names.passed

passed contains check if some check in data.csr.approval.limits.passed

passed contains check if some check in data.csr.approval.client.passed

# METADATA
# description: The names of all checks that the request plainly fails, and that its preset denies for.
denials contains "malformed" if {
	preset in {"strict", "inventory"}
	is_string(input.malformed)
}

denials contains check if {
	preset in {"strict", "inventory"}
	input.malformed == null
	some check in _required & _facts
	not check in passed
}

denials contains check if {
	preset in {"strict", "inventory"}
	some check in _required & data.csr.approval.names.failed
}

denials contains check if {
	preset in {"strict", "inventory"}
	some check in _required & data.csr.approval.limits.failed
}

# Checks of what the request itself says, which no time and no other object changes.
_facts := {
	"subject", "organization", "common-name", "username", "groups", "usages", "names-present",
	"name-kinds", "no-names", "client-usages", "extensions", "key",
}

_required := _serving[preset] if {
	input.signer == "kubernetes.io/kubelet-serving"
} else := _client[preset] if {
	input.signer == "kubernetes.io/kube-apiserver-client-kubelet"
}

_serving := {
	"rubber-stamp": {
		"malformed", "organization", "common-name", "username", "usages", "both-kinds-of-names",
		"access",
	},
	"strict": _strict,
	"inventory": _strict,
}

# With an inventory, both are the same. Without one, `inventory` approves nothing.
_strict := {
	"malformed", "subject", "organization", "common-name", "username", "groups", "usages",
	"names-present", "name-kinds", "plain-names", "api-server-names", "extensions", "key",
	"expiration", "age", "rate", "node", "inventory", "names", "access",
}

_client := {
	"rubber-stamp": {
		"malformed", "organization", "common-name", "client-usages", "no-names", "client-access",
	},
	"strict": _strict_client,
	"inventory": _strict_client,
}

_strict_client := {
	"malformed", "subject", "organization", "common-name", "client-usages", "no-names", "extensions",
	"key", "expiration", "age", "rate", "inventory", "client-access",
}

_denied := [check | some check in _order; check in denials]

_missing := ["malformed"] if {
	is_string(input.malformed)
} else := [check | some check in _order; check in _required - _implied; not check in passed]

# Whose names they should be is the better reason.
_implied contains "names" if {
	some check in {"node", "inventory"} & _required
	not check in passed
}

# The first of a list gives the decision its rule.
_order := [
	"malformed", "subject", "organization", "common-name", "username", "groups", "usages", "client-usages",
	"names-present", "both-kinds-of-names", "no-names", "name-kinds", "plain-names", "api-server-names",
	"extensions", "key", "expiration", "node", "inventory", "names", "age", "rate", "access",
	"client-access",
]

_reason(check) := sprintf("%s.", [input.malformed]) if {
	check == "malformed"
	is_string(input.malformed)
} else := data.csr.approval.names.explanation if {
	check == "names"
} else := "The data about the API server can't be read." if {
	check == "api-server-names"
	not data.csr.approval.names.reserved_is_readable
} else := _reasons[check]

_reasons := {
	"subject": "The subject has more than an organization and a common name.",
	"organization": "The organization is not system:nodes alone.",
	"common-name": "The common name is not one of a node.",
	"username": "The common name is not that of who asks.",
	"groups": "Who asks is not in the group system:nodes.",
	"usages": "The usages are not those of a serving certificate.",
	"client-usages": "The usages are not those of a client certificate.",
	"names-present": "There is neither a DNS name nor an IP address.",
	"both-kinds-of-names": "There is not both a DNS name and an IP address.",
	"no-names": "A client certificate has no alternative names.",
	"name-kinds": "There are alternative names other than DNS names and IP addresses.",
	"plain-names": "A name or address is none that a node can have alone.",
	"api-server-names": "A name or address belongs to the API server, a service or localhost.",
	"extensions": "Extensions or attributes are asked for that a node's certificate doesn't need.",
	"key": "The key is too weak.",
	"expiration": "The certificate would be valid for too long.",
	"node": "There is no such node.",
	"inventory": "The inventory does not have the node with this key.",
	"age": "The request is too old.",
	"rate": "The node has asked too often.",
	"access": "Who asks may not create such requests.",
	"client-access": "Who asks may create neither selfnodeclient nor nodeclient requests.",
}
