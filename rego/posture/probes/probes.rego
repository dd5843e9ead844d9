# METADATA
# title: What a running kubelet does
# description: Asked of a kubelet that was called, not of its settings.
package posture.probes

# METADATA
# description: What is required, by identifier.
requirements := {
	"probe.anonymous": {
		"title": "a request without a certificate is refused",
		"settings": ["answer to an anonymous request"],
		"wanted": "401",
		"fix": "set `authentication.anonymous.enabled: false`, and restart the kubelet",
		"scored": true,
		"always": false,
	},
	"probe.read-only-port": {
		"title": "nobody listens on port 10255",
		"settings": ["port 10255"],
		"wanted": "closed",
		"fix": "set `readOnlyPort: 0`, and restart the kubelet",
		"scored": true,
		"always": false,
	},
}

# METADATA
# description: The identifiers of what is met.
met contains "probe.anonymous" if input.settings["answer to an anonymous request"].value == 401

met contains "probe.read-only-port" if input.settings["port 10255"].value == "closed"
