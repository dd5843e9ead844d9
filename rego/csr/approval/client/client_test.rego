package csr.approval.client_test

import data.csr.approval
import data.csr.approval.example_test

test_a_node_renews_its_own_certificate if {
	every preset in {"strict", "rubber-stamp"} {
		decision := approval.decision with input as example_test.client with data.csr.preset as preset
		decision.decision == "approve"
		decision.reason == "The node renews its own client certificate."
	}
}

test_who_may_ask_for_any_node_does if {
	approval.decision.decision == "approve" with input as _bootstrap
}

test_a_bootstrap_token_serves_many_nodes if {
	often := {"existing": {"approved_last_hour": 1000, "pending": 1000}}
	approval.decision.decision == "approve" with input as object.union(_bootstrap, often)
	approval.decision.rule == "rate" with input as object.union(example_test.client, often)
}

test_a_client_s_request_is_checked_like_a_server_s if {
	every rule, change in {
		"subject": {"request": {"subject": {"attributes": [{"type": "CN", "value": "system:node:worker-1"}]}}},
		"extensions": {"request": {"certificate_authority": true}},
		"key": {"request": {"key": {"type": "RSA", "bits": 1024}}},
		"expiration": {"expiration_seconds": 315360000},
		"age": {"age_seconds": 86400},
	} {
		decision := approval.decision with input as object.union(example_test.client, change)
		decision.decision != "approve"
		decision.rule == rule
	}
}

test_an_inventory_has_the_last_word_on_clients if {
	every preset in {"strict", "inventory"} {
		approval.decision.decision == "approve" with input as example_test.client
			with data.csr.preset as preset
			with data.csr.inventory as {"worker-1": example_test.entry}
		pinned := object.union(example_test.entry, {"key_sha256": ["0"]})
		approval.decision.decision == "deny" with input as example_test.client
			with data.csr.preset as preset
			with data.csr.inventory as {"worker-1": pinned}
		approval.decision.rule == "inventory" with input as example_test.client
			with data.csr.preset as preset
			with data.csr.inventory as {}
	}
}

test_a_node_asks_for_no_other_node if {
	other := object.union(example_test.client, {"username": "system:node:worker-2"})
	approval.decision.rule == "client-access" with input as other
	approval.decision.decision == "leave" with input as other
}

test_without_access_nothing_is_approved if {
	every access in [{"selfnodeclient": false, "nodeclient": false}, {"selfnodeclient": null, "nodeclient": null}] {
		approval.decision.decision == "leave" with input as object.union(example_test.client, {"access": access})
	}
}

test_a_client_has_no_names if {
	every sans in [{"dns": ["worker-1"]}, {"ip": ["10.0.0.11"]}, {"uri": ["spiffe://worker-1"]}, {"other": ["otherName"]}] {
		wanted := object.union(example_test.client, {"request": {"sans": sans}})
		approval.decision.decision == "deny" with input as wanted
		approval.decision.rule == "no-names" with input as wanted
	}
}

test_usages_are_a_client_s if {
	every usages in [[], ["digital signature", "server auth"], ["digital signature", "server auth", "client auth"]] {
		approval.decision.decision == "deny" with input as object.union(example_test.client, {"usages": usages})
	}
}

test_a_serving_certificate_is_no_client_s if {
	mixed := object.union(example_test.serving, {"access": {"selfnodeclient": true, "nodeclient": true}})
	approval.decision.decision == "deny" with input as object.union(mixed, {"usages": example_test.client.usages})
}

# A bootstrap token's user is no node, and its node does not exist yet.
_bootstrap := object.union(example_test.client, {
	"username": "system:bootstrap:abcdef",
	"groups": ["system:bootstrappers"],
	"node": {"exists": false, "dns": [], "ip": []},
	"access": {"selfnodeclient": false, "nodeclient": true},
})
