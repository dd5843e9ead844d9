# METADATA
# title: The kubelet behind the gate
# description: What the profiles of envoy/kubelet ask of a kubelet beside the benchmark.
package posture.gate

requirements := {
	"gate.address": {"settings": ["address"], "scored": true},
	"gate.port": {"settings": ["port"], "scored": true},
	"gate.serving-certificate": {"settings": ["serverTLSBootstrap", "tlsCertFile", "tlsPrivateKeyFile"], "scored": true},
}

# Whose CA the kubelet trusts is not in its settings.
owned := {
	"gate.authorization": {"settings": ["authorization.mode"], "scored": true},
	"gate.client-ca": {"settings": ["authentication.x509.clientCAFile", "the certificates in it"], "scored": true},
	"gate.tokens": {"settings": ["authentication.webhook.enabled"], "scored": true},
}

hardened := {"gate.tokens": {"settings": ["authentication.webhook.enabled"], "scored": false}}

met contains "gate.address" if input.settings.address.value in {"127.0.0.1", "::1"}

met contains "gate.port" if input.settings.port.value == 10250

met contains "gate.serving-certificate" if {
	input.settings.serverTLSBootstrap.value == false
	"4.2.9" in data.posture.cis.met
}

met contains "gate.authorization" if input.settings["authorization.mode"].value == "AlwaysAllow"

met contains "gate.tokens" if {
	input.profile == "owned"
	input.settings["authentication.webhook.enabled"].value == false
}

met contains "gate.tokens" if {
	input.profile == "hardened"
	input.settings["authentication.webhook.enabled"].value == true
}
