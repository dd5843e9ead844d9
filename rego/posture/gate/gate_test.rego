package posture.gate_test

import data.posture.gate

_values(profile, values) := {
	"profile": profile,
	"settings": {setting: {"value": value} | some setting, value in values},
}

test_the_profiles_want_the_opposite_of_each_other if {
	owned := {"authentication.webhook.enabled": false, "authorization.mode": "AlwaysAllow"}
	hardened := {"authentication.webhook.enabled": true, "authorization.mode": "Webhook"}
	gate.met == {"gate.authorization", "gate.tokens"} with input as _values("owned", owned)
	gate.met == {"gate.tokens"} with input as _values("hardened", hardened)
	gate.met == set() with input as _values("owned", hardened)
	gate.met == {"gate.authorization"} with input as _values("hardened", owned)
}

test_only_the_node_gets_to_the_kubelet if {
	every address in ["127.0.0.1", "::1"] {
		"gate.address" in gate.met with input as _values("owned", {"address": address})
	}
	every address in ["0.0.0.0", "::", "192.0.2.10", "", null] {
		not "gate.address" in gate.met with input as _values("owned", {"address": address})
	}
}

test_a_kubelet_that_asks_for_its_certificate_has_none_of_the_gates if {
	files := {"tlsCertFile": "tls.crt", "tlsPrivateKeyFile": "tls.key"}
	"gate.serving-certificate" in gate.met with input as _values("owned", object.union(files, {"serverTLSBootstrap": false}))
	not "gate.serving-certificate" in gate.met with input as _values("owned", object.union(files, {"serverTLSBootstrap": true}))
	not "gate.serving-certificate" in gate.met with input as _values("owned", {"serverTLSBootstrap": false})
}
