package csr.approval.kubernetes_test

import data.csr.approval.example_test
import data.csr.approval.kubernetes

test_a_kubelet_s_request_passes_everything if {
	kubernetes.passed == {
		"malformed", "organization", "common-name", "username", "groups", "usages",
		"names-present", "both-kinds-of-names", "name-kinds", "access",
	} with input as example_test.serving
}

test_the_organization_is_exact if {
	every organizations in [[], ["system:masters"], ["system:nodes", "system:nodes"], ["System:nodes"]] {
		not "organization" in kubernetes.passed with input as _request({"subject": {"organizations": organizations}})
	}
}

test_the_common_name_is_of_the_node if {
	every name in [null, "", "worker-1", "system:node:", "system:node:worker-2", "system:nodes:worker-1"] {
		not "common-name" in kubernetes.passed with input as _request({"subject": {"common_name": name}})
	}
}

test_the_user_is_the_one_in_the_request if {
	every user in ["", "worker-1", "system:node:worker-2", "system:node:worker-1 "] {
		not "username" in kubernetes.passed with input as object.union(example_test.serving, {"username": user})
	}
}

test_usages_are_exact if {
	every usages in [
		["server auth", "digital signature"],
		["digital signature", "key encipherment", "server auth"],
	] {
		"usages" in kubernetes.passed with input as object.union(example_test.serving, {"usages": usages})
	}
	every usages in [
		[], ["server auth"], ["digital signature"], ["key encipherment", "server auth"],
		["digital signature", "server auth", "client auth"], ["digital signature", "server auth", "any"],
	] {
		not "usages" in kubernetes.passed with input as object.union(example_test.serving, {"usages": usages})
	}
}

test_one_kind_of_names_suffices_but_to_rubber_stamp if {
	every sans in [{"dns": []}, {"ip": []}] {
		passed := kubernetes.passed with input as _request({"sans": sans})
		"names-present" in passed
		not "both-kinds-of-names" in passed
	}
	not "names-present" in kubernetes.passed with input as _request({"sans": {"dns": [], "ip": []}})
}

test_other_kinds_of_names_are_none_of_a_node if {
	every sans in [{"email": ["root@worker-1"]}, {"uri": ["https://worker-1"]}, {"other": ["otherName"]}] {
		not "name-kinds" in kubernetes.passed with input as _request({"sans": sans})
	}
}

test_access_has_to_be_granted if {
	every access in [
		{"certificatesigningrequests": false},
		{"certificatesigningrequests": null},
		{"certificatesigningrequests": true, "selfnodeserving": false},
	] {
		not "access" in kubernetes.passed with input as object.union(example_test.serving, {"access": access})
	}
	not "access" in kubernetes.passed with input as object.union(
		object.remove(example_test.serving, ["access"]),
		{"access": {}},
	)
}

_request(change) := object.union(example_test.serving, {"request": change})
