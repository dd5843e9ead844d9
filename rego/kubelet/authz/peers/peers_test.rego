package kubelet.authz.peers_test

import data.kubelet.authz.peers

_digest := "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"

_other_digest := "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"

# The same digest as openssl prints it.
_digest_with_colons := concat("", [
	"5F:EC:EB:66:FF:C8:6F:38:D9:52:78:6C:6D:69:6C:79:",
	"C2:DB:C2:39:DD:4E:91:B4:67:29:D7:3A:27:FB:57:E9",
])

_apiserver := {
	"authenticated": true,
	"common_name": "kube-apiserver-kubelet-client",
	"organizations": ["system:masters", "ops"],
	"certificate_sha256": _digest,
}

_pin := {
	"common_name": "kube-apiserver-kubelet-client",
	"organization": "system:masters",
	"presets": ["logs", "observe"],
}

test_common_name_and_organization_pin_a_peer if {
	peers.presets == {"logs", "observe"} with input.peer as _apiserver with data.kubelet.peers as [_pin]
}

test_an_unauthenticated_peer_is_nobody if {
	every claim in [{"authenticated": false}, {"authenticated": "true"}, {"authenticated": null}] {
		peers.presets == set() with input.peer as object.union(_apiserver, claim)
			with data.kubelet.peers as [_pin]
	}
}

test_a_peer_without_the_claim_is_nobody if {
	peers.presets == set() with input.peer as object.remove(_apiserver, ["authenticated"])
		with data.kubelet.peers as [_pin]
}

test_another_name_is_nobody if {
	every name in [
		"system:node:worker-2", "kube-apiserver-kubelet-client2", "Kube-apiserver-kubelet-client",
		"", null,
	] {
		peers.presets == set() with input.peer as object.union(_apiserver, {"common_name": name})
			with data.kubelet.peers as [_pin]
	}
}

test_another_organization_is_nobody if {
	every organizations in [[], ["system:nodes"], ["system:masters2"], ["System:masters"], null, "system:masters"] {
		peers.presets == set() with input.peer as object.union(_apiserver, {"organizations": organizations})
			with data.kubelet.peers as [_pin]
	}
}

test_an_entry_without_organization_pins_nobody if {
	every organizations in [[], ["system:masters"]] {
		peers.presets == set() with input.peer as object.union(_apiserver, {"organizations": organizations})
			with data.kubelet.peers as [object.remove(_pin, ["organization"])]
	}
}

test_null_pins_a_certificate_that_names_no_organization if {
	peers.presets == {"logs", "observe"} with input.peer as object.union(_apiserver, {"organizations": []})
		with data.kubelet.peers as [object.union(_pin, {"organization": null})]
}

test_null_pins_nobody_else if {
	every peer in [_apiserver, object.remove(_apiserver, ["organizations"])] {
		peers.presets == set() with input.peer as peer
			with data.kubelet.peers as [object.union(_pin, {"organization": null})]
	}
}

test_a_required_digest_pins_that_certificate_in_either_spelling if {
	every digest in [_digest, upper(_digest), _digest_with_colons] {
		peers.presets == {"logs", "observe"} with input.peer as _apiserver
			with data.kubelet.peers as [object.union(_pin, {"certificate_sha256": digest})]
	}
}

test_another_digest_is_nobody if {
	every digest in [_other_digest, "", null, substring(_digest, 0, 62)] {
		peers.presets == set() with input.peer as _apiserver
			with data.kubelet.peers as [object.union(_pin, {"certificate_sha256": digest})]
	}
}

test_an_entry_with_a_misspelt_key_pins_nobody if {
	every digest in [{}, {"certificate_sha256": _digest}] {
		peers.presets == set() with input.peer as _apiserver
			with data.kubelet.peers as [object.union_n([_pin, digest, {"certificate_sha265": _other_digest}])]
	}
}

test_a_peer_of_two_entries_gets_the_presets_of_both if {
	peers.presets == {"logs", "observe", "operate"} with input.peer as _apiserver
		with data.kubelet.peers as [_pin, object.union(_pin, {"organization": "ops", "presets": ["operate"]})]
}

test_a_denied_digest_shuts_out_a_pinned_peer_in_either_spelling if {
	every denied in [_digest, upper(_digest), _digest_with_colons] {
		peers.presets == set() with input.peer as _apiserver
			with data.kubelet.peers as [_pin]
			with data.kubelet.denied_certificates as [_other_digest, denied]
	}
}

test_the_digest_of_another_certificate_shuts_out_nobody if {
	every denied in [[], [_other_digest]] {
		peers.presets == {"logs", "observe"} with input.peer as _apiserver
			with data.kubelet.peers as [_pin]
			with data.kubelet.denied_certificates as denied
	}
}

test_an_unreadable_list_of_denied_digests_shuts_out_everybody if {
	every denied in [[substring(_digest, 0, 62)], [""], [null], [42], "none", null, true, false] {
		peers.presets == set() with input.peer as _apiserver
			with data.kubelet.peers as [_pin]
			with data.kubelet.denied_certificates as denied
	}
}

test_a_peer_without_digest_cannot_be_told_from_a_denied_one if {
	peers.presets == set() with input.peer as object.remove(_apiserver, ["certificate_sha256"])
		with data.kubelet.peers as [_pin]
		with data.kubelet.denied_certificates as [_other_digest]
}

test_a_blank_name_pins_nobody if {
	every name in [null, ""] {
		peers.presets == set() with input.peer as object.union(_apiserver, {"common_name": name})
			with data.kubelet.peers as [object.union(_pin, {"common_name": name})]
	}
}

test_digests_that_only_together_have_the_right_length_deny_everybody if {
	every denied in [[substring(_other_digest, 0, 63), concat("", [_other_digest, "0"])], [substring(_digest, 0, 63)]] {
		peers.presets == set() with input.peer as _apiserver
			with data.kubelet.peers as [_pin]
			with data.kubelet.denied_certificates as denied
	}
}
