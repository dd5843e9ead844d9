# METADATA
# title: The kubelet behind the gate
# description: What the profiles of envoy/kubelet ask of a kubelet beside the benchmark.
package posture.gate

# METADATA
# description: What both profiles require.
requirements := {
	"gate.address": {
		"title": "nobody but the node gets to the kubelet",
		"settings": ["address"],
		"wanted": "127.0.0.1",
		"fix": "set `address: 127.0.0.1`",
		"scored": true,
		"always": true,
	},
	"gate.port": {
		"title": "the kubelet reports the gate's port",
		"settings": ["port"],
		"wanted": "10250",
		"fix": "set `port: 10250`",
		"scored": true,
		"always": true,
	},
	"gate.serving-certificate": {
		"title": "the gate can tell the kubelet by its certificate",
		"settings": ["serverTLSBootstrap", "tlsCertFile", "tlsPrivateKeyFile"],
		"wanted": "false, and the two files",
		"fix": "set `serverTLSBootstrap: false`, `tlsCertFile` and `tlsPrivateKeyFile`",
		"scored": true,
		"always": true,
	},
}

# METADATA
# description: What profile owned requires. Whose CA the kubelet trusts is not in its settings.
owned := {
	"gate.authorization": {
		"title": "the control plane isn't asked who may do what",
		"settings": ["authorization.mode"],
		"wanted": "AlwaysAllow",
		"fix": "set `authorization.mode: AlwaysAllow`",
		"scored": true,
		"always": true,
	},
	"gate.client-ca": {
		"title": "the kubelet trusts the gate's own CA alone",
		"settings": ["authentication.x509.clientCAFile", "the certificates in it"],
		"wanted": "the gate's own CA",
		"fix": "look into the file: it has `ca.crt` of the gate's CA, and nothing else",
		"scored": true,
		"always": true,
	},
	"gate.tokens": {
		"title": "the control plane isn't asked whose token it is",
		"settings": ["authentication.webhook.enabled"],
		"wanted": "false",
		"fix": "set `authentication.webhook.enabled: false`",
		"scored": true,
		"always": true,
	},
}

# METADATA
# description: What profile hardened requires.
hardened := {"gate.tokens": {
	"title": "tokens are verified",
	"settings": ["authentication.webhook.enabled"],
	"wanted": "true",
	"fix": "set `authentication.webhook.enabled: true`",
	"scored": false,
	"always": true,
}}

# METADATA
# description: The identifiers of what is met.
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
