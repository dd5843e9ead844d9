package kubelet.authz_test

import data.kubelet.authz

test_nothing_is_denied if {
	authz.decision == {"allow": false, "reason": "the peer is not pinned"} with input as {}
}

test_a_pinned_peer_gets_its_preset if {
	authz.decision == {"allow": true, "rule": "logs"} with input as _logs
		with data.kubelet.peers as [_entry(["logs"])]
		with data.kubelet.logs.namespaces as ["*"]
}

test_a_pinned_peer_gets_no_other_preset if {
	every endpoint, presets in {
		"metrics": ["logs", "operate"],
		"containerLogs": ["observe", "operate"],
		"portForward": ["observe", "logs"],
	} {
		authz.decision == _not_granted with input as _request(endpoint)
			with data.kubelet.peers as [_entry(presets)]
			with data.kubelet.logs.namespaces as ["*"]
			with data.kubelet.operate as [_port_forward]
	}
}

test_an_unpinned_peer_gets_nothing if {
	authz.decision == _not_pinned with input as object.union(_logs, {"peer": {"common_name": "system:node:worker"}})
		with data.kubelet.peers as [_entry(["logs"])]
		with data.kubelet.logs.namespaces as ["*"]
}

test_an_empty_peer_list_denies_everybody if {
	authz.decision == _not_pinned with input as _logs
		with data.kubelet.peers as []
		with data.kubelet.logs.namespaces as ["*"]
}

test_no_peer_list_denies_everybody if {
	authz.decision == _not_pinned with input as _logs with data.kubelet.logs.namespaces as ["*"]
}

test_presets_combine if {
	every endpoint, rule in {"metrics": "observe", "containerLogs": "logs", "portForward": "operate/port-forward"} {
		authz.decision == {"allow": true, "rule": rule} with input as _request(endpoint)
			with data.kubelet.peers as [_entry(["observe", "logs", "operate"])]
			with data.kubelet.logs.namespaces as ["default"]
			with data.kubelet.operate as [_port_forward]
	}
}

test_what_no_preset_knows_stays_denied if {
	every endpoint in {
		"run", "checkpoint", "pods", "runningPods", "nodeLogs",
		"configz", "flagz", "statusz", "debug", "", "Metrics",
	} {
		authz.decision == _not_granted with input as _request(endpoint)
			with data.kubelet.peers as [_entry(["observe", "logs", "operate"])]
			with data.kubelet.logs.namespaces as ["*"]
			with data.kubelet.operate as [_port_forward]
	}
}

test_a_token_without_a_certificate_scrapes_what_is_listed_and_nothing_else if {
	every endpoint, decision in {
		"metrics": {"allow": true, "rule": "scrape"},
		"stats": _not_pinned,
		"containerLogs": _not_pinned,
	} {
		authz.decision == decision with input as _by_token(endpoint)
			with data.kubelet.peers as [_entry(["observe", "logs"])]
			with data.kubelet.logs.namespaces as ["*"]
			with data.kubelet.scrape.endpoints as ["metrics"]
	}
}

test_scraping_is_granted_to_no_peer if {
	authz.decision == _not_granted with input as _request("metrics")
		with data.kubelet.peers as [_entry(["scrape"])]
		with data.kubelet.scrape.endpoints as ["metrics"]
}

test_closed_takes_back_what_other_presets_allow if {
	authz.decision == _not_granted with input as _logs
		with data.kubelet.peers as [_entry(["logs"]), _entry(["closed"])]
		with data.kubelet.logs.namespaces as ["*"]
}

test_of_two_grants_the_first_by_name_is_the_rule if {
	authz.decision == {"allow": true, "rule": "a"} with authz.allow as {"b", "a"}
}

_not_pinned := {"allow": false, "reason": "the peer is not pinned"}

_not_granted := {"allow": false, "reason": "no preset of the peer allows it"}

_logs := _request("containerLogs")

_port_forward := {"namespaces": ["default"], "pods": ["web-0"], "port_forward": true}

_request(endpoint) := {
	"method": "GET",
	"endpoint": endpoint,
	"namespace": "default",
	"pod": "web-0",
	"container": "app",
	"peer": {
		"authenticated": true,
		"common_name": "kube-apiserver-kubelet-client",
		"organizations": ["kubeadm:cluster-admins"],
		"certificate_sha256": "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
	},
}

_by_token(endpoint) := object.union(object.remove(_request(endpoint), ["peer"]), {"peer": {
	"authenticated": false,
	"bearer_token": true,
}})

_entry(presets) := {
	"common_name": "kube-apiserver-kubelet-client",
	"organization": "kubeadm:cluster-admins",
	"presets": presets,
}
