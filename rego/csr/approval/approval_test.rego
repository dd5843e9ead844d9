package csr.approval_test

import data.csr.approval
import data.csr.approval.example_test

test_nothing_is_left if {
	approval.decision.decision == "leave" with input as {}
}

test_every_preset_approves_a_good_request if {
	every preset in {"strict", "rubber-stamp"} {
		approval.decision.decision == "approve" with input as example_test.serving
			with data.csr.preset as preset
	}
	approval.decision.decision == "approve" with input as example_test.serving
		with data.csr.preset as "inventory"
		with data.csr.inventory as {"worker-1": example_test.entry}
}

test_strict_is_the_preset_unless_another_is_named if {
	approval.decision.rule == "strict" with input as example_test.serving
}

test_an_unknown_preset_leaves_everything if {
	every preset in ["Strict", "", null, ["strict"], {}] {
		approval.decision.decision == "leave" with input as example_test.serving with data.csr.preset as preset
	}
}

test_another_signer_is_left if {
	every signer in ["kubernetes.io/kube-apiserver-client", "kubernetes.io/legacy-unknown", ""] {
		approval.decision.decision == "leave" with input as object.union(example_test.serving, {"signer": signer})
	}
}

test_a_malformed_request_is_denied_with_what_is_wrong if {
	malformed := object.union(example_test.serving, {"malformed": "the request is not PKCS#10 in DER"})
	every preset in {"strict", "inventory"} {
		approval.decision == {
			"decision": "deny",
			"rule": "malformed",
			"reason": "the request is not PKCS#10 in DER.",
		} with input as malformed with data.csr.preset as preset
	}
}

test_rubber_stamp_never_denies if {
	every change in [
		{"malformed": "the request is not PKCS#10 in DER"},
		{"request": {"subject": {"organizations": ["system:masters"]}}},
		{"username": "alice"},
		{"usages": ["client auth"]},
		{"access": {"certificatesigningrequests": false}},
	] {
		approval.decision.decision == "leave" with input as object.union(example_test.serving, change)
			with data.csr.preset as "rubber-stamp"
	}
}

test_what_can_never_become_right_is_denied if {
	every rule, change in {
		"organization": {"request": {"subject": {"organizations": ["system:nodes", "system:masters"]}}},
		"username": {"username": "system:node:worker-2"},
		"groups": {"groups": ["system:authenticated"]},
		"usages": {"usages": ["digital signature", "server auth", "client auth"]},
		"name-kinds": {"request": {"sans": {"uri": ["spiffe://cluster/admin"]}}},
		"plain-names": {"request": {"sans": {"dns": ["*.example.com"]}}},
		"api-server-names": {"request": {"sans": {"dns": ["kubernetes"]}}},
		"extensions": {"request": {"certificate_authority": true}},
		"key": {"request": {"key": {"type": "RSA", "bits": 1024}}},
		"expiration": {"expiration_seconds": 315360000},
	} {
		decision := approval.decision with input as object.union(example_test.serving, change)
		decision.decision == "deny"
		decision.rule == rule
	}
}

test_what_may_become_right_is_left if {
	every rule, change in {
		"node": {"node": {"exists": false, "dns": [], "ip": []}},
		"names": {"request": {"sans": {"dns": ["worker-2"]}}},
		"age": {"age_seconds": 86400},
		"rate": {"existing": {"approved_last_hour": 10}},
		"access": {"access": {"certificatesigningrequests": false}},
	} {
		decision := approval.decision with input as object.union(example_test.serving, change)
		decision.decision == "leave"
		decision.rule == rule
	}
}

test_an_inventory_is_complete if {
	every rule, change in {
		"names": {"dns": ["worker-2"]},
		"inventory": {"key_sha256": ["0"]},
	} {
		every preset in {"strict", "inventory"} {
			decision := approval.decision with input as example_test.serving with data.csr.preset as preset
				with data.csr.inventory as {"worker-1": object.union(example_test.entry, change)}
			decision.decision == "deny"
			decision.rule == rule
		}
	}
}

test_a_node_that_the_inventory_lacks_is_left if {
	every inventory in [{}, null, []] {
		every preset in {"strict", "inventory"} {
			approval.decision == {
				"decision": "leave",
				"rule": "inventory",
				"reason": "The inventory does not have the node with this key.",
			} with input as example_test.serving with data.csr.preset as preset with data.csr.inventory as inventory
		}
	}
}

test_one_reason_is_enough if {
	absent := {"node": {"exists": false, "dns": [], "ip": []}}
	approval.decision.reason == "There is no such node." with input as object.union(example_test.serving, absent)
	unready := {"node": {"dns": [], "ip": []}}
	approval.decision.reason == "The Node object has no addresses yet."
		with input as object.union(example_test.serving, unready)
}

# Whatever fact is missing, nothing is approved.
test_a_missing_fact_approves_nothing if {
	every key in object.keys(example_test.serving) - {"schema", "name", "uid", "extra", "serving"} {
		approval.decision.decision != "approve" with input as object.remove(example_test.serving, [key])
	}
	every key in object.keys(example_test.serving.request) {
		request := object.remove(example_test.serving.request, [key])
		approval.decision.decision != "approve" with input as object.union(
			object.remove(example_test.serving, ["request"]),
			{"request": request},
		)
	}
}

test_the_reason_tells_who_spoke_for_the_names if {
	contains(approval.decision.reason, "which the control plane and the node itself can edit") with input as example_test.serving
	contains(approval.decision.reason, "inventory") with input as example_test.serving
		with data.csr.inventory as {"worker-1": example_test.entry}
}

test_all_that_is_wrong_is_in_the_reason if {
	decision := approval.decision with input as object.union(example_test.serving, {"groups": [], "usages": []})
	decision.rule == "groups"
	contains(decision.reason, "system:nodes")
	contains(decision.reason, "usages")
}

test_every_check_has_its_place_and_its_reason if {
	every signer in {"kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"} {
		every preset in {"strict", "inventory", "rubber-stamp"} {
			bare := {"signer": signer, "malformed": null}
			decision := approval.decision with input as bare with data.csr.preset as preset
			decision.decision in {"leave", "deny"}
			decision.reason != ""
		}
	}
}
