package kubelet.authz.lint_test

import data.kubelet.authz.lint

_digest := "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"

_pin := {"common_name": "kube-apiserver-kubelet-client", "organization": null, "presets": ["observe"]}

_operate := {"namespaces": ["shop"], "pods": ["db-0"], "containers": ["app"], "exec": [{"command": ["df"]}]}

test_sound_data_has_no_findings if {
	lint.findings == set() with data.kubelet.peers as [object.union(_pin, {
		"certificate_sha256": _digest,
		"presets": ["closed", "logs", "observe", "operate"],
	})]
		with data.kubelet.denied_certificates as [_digest, upper(_digest)]
		with data.kubelet.logs.namespaces as ["*"]
		with data.kubelet.operate as [object.union(_operate, {
			"pod_prefixes": ["web-"],
			"attach": {},
			"port_forward": true,
		})]
}

test_no_peer_list_is_a_finding if {
	lint.findings == {_nobody}
}

test_a_peer_list_that_pins_nobody_is_a_finding if {
	every peers in [[], null, _pin] {
		lint.findings == {_nobody} with data.kubelet.peers as peers
	}
}

test_who_only_lets_tokens_in_has_no_finding if {
	lint.findings == set() with data.kubelet.scrape.endpoints as ["metrics"]
}

test_what_can_not_be_scraped_is_a_finding if {
	finding := "`data.kubelet.scrape.endpoints` names `pods`; there are healthz, metrics, stats"
	lint.findings == {finding} with data.kubelet.scrape.endpoints as ["healthz", "pods"]
}

test_endpoints_that_are_no_list_are_a_finding if {
	finding := "`data.kubelet.scrape.endpoints` is no list, so it grants nothing"
	every endpoints in ["metrics", null, {"metrics": true}] {
		lint.findings == {finding} with data.kubelet.peers as [_pin]
			with data.kubelet.scrape.endpoints as endpoints
	}
}

test_a_missing_key_is_a_finding if {
	every key in ["common_name", "organization", "presets"] {
		finding := sprintf("`data.kubelet.peers[1]` has no `%s` and pins nobody", [key])
		lint.findings == {finding} with data.kubelet.peers as [_pin, object.remove(_pin, [key])]
	}
}

test_a_misspelt_key_is_a_finding if {
	finding := "`data.kubelet.peers[0]` has the unknown key `certificate` and pins nobody"
	lint.findings == {finding} with data.kubelet.peers as [object.union(_pin, {"certificate": _digest})]
}

test_a_digest_that_is_none_is_a_finding if {
	findings := {
		"`data.kubelet.peers[0].certificate_sha256` is no SHA-256, so the entry pins nobody",
		"`data.kubelet.denied_certificates[0]` is no SHA-256, so the policy denies everybody",
	}
	every digest in ["", null, substring(_digest, 1, 63), concat("", [substring(_digest, 1, 63), "g"])] {
		lint.findings == findings with data.kubelet.peers as [object.union(_pin, {"certificate_sha256": digest})]
			with data.kubelet.denied_certificates as [digest]
	}
}

test_denied_certificates_that_are_no_list_are_a_finding if {
	finding := "`data.kubelet.denied_certificates` is no list, so the policy denies everybody"
	lint.findings == {finding} with data.kubelet.peers as [_pin] with data.kubelet.denied_certificates as _digest
}

test_presets_that_are_no_list_are_a_finding if {
	finding := "`data.kubelet.peers[0].presets` is no list, so the entry grants nothing"
	every presets in ["logs", null, {"logs": true}] {
		lint.findings == {finding} with data.kubelet.peers as [_pin_with(presets)]
	}
}

test_an_unknown_preset_is_a_finding if {
	finding := "`data.kubelet.peers[0]` names the preset `log`; there are closed, logs, observe, operate"
	lint.findings == {finding} with data.kubelet.peers as [object.union(_pin, {"presets": ["log"]})]
}

test_presets_without_their_data_are_findings if {
	findings := {
		"the preset `logs` grants nothing without `data.kubelet.logs.namespaces`; `[\"*\"]` stands for all",
		"the preset `operate` grants nothing without entries in `data.kubelet.operate`",
	}
	every entries in [[], null, _operate] {
		lint.findings == findings with data.kubelet.peers as [object.union(_pin, {"presets": ["logs", "operate"]})]
			with data.kubelet.operate as entries
	}
}

test_misspelt_keys_of_operate_are_findings if {
	findings := {
		"`data.kubelet.operate[0]` has the unknown key `portforward`",
		"`data.kubelet.operate[0].exec[0]` has the unknown key `argv`",
	}
	entry := object.union(_operate, {"portforward": true, "exec": [{"argv": ["df"]}]})
	lint.findings == findings with data.kubelet.peers as [_pin] with data.kubelet.operate as [entry]
}

test_a_prefix_without_dash_is_a_finding if {
	finding := "`data.kubelet.operate[0]`: the prefix `web` covers nothing without a `-` at its end"
	entry := object.union(_operate, {"pod_prefixes": ["web", "db-"]})
	lint.findings == {finding} with data.kubelet.peers as [_pin] with data.kubelet.operate as [entry]
}

_pin_with(presets) := object.union(object.remove(_pin, ["presets"]), {"presets": presets})

_nobody := "`data.kubelet.peers` pins nobody, so the policy denies everybody; rego/examples shows how to"
