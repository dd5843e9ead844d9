# METADATA
# title: CIS Kubernetes Benchmark, section 4.2
# description: |
#   The identifiers are those of version 1.12, and 4.2.15 of 1.11. `scored` are those that the benchmark
#   assesses by itself; not to meet one is a failure, and of any other a warning.
# related_resources:
#   - https://www.cisecurity.org/benchmark/kubernetes
package posture.cis

# METADATA
# description: What is required, by identifier.
requirements := {
	"4.2.1": {
		"title": "anonymous requests are refused",
		"settings": ["authentication.anonymous.enabled"],
		"wanted": "false",
		"fix": "set `authentication.anonymous.enabled: false`",
		"scored": true,
		"always": true,
	},
	"4.2.2": {
		"title": "requests are authorized",
		"settings": ["authorization.mode"],
		"wanted": "Webhook",
		"fix": "set `authorization.mode: Webhook`",
		"scored": true,
		"always": true,
	},
	"4.2.3": {
		"title": "client certificates are verified",
		"settings": ["authentication.x509.clientCAFile"],
		"wanted": "a file",
		"fix": "set `authentication.x509.clientCAFile`",
		"scored": true,
		"always": true,
	},
	"4.2.4": {
		"title": "the read-only port is closed",
		"settings": ["readOnlyPort"],
		"wanted": "0",
		"fix": "set `readOnlyPort: 0`",
		"scored": false,
		"always": true,
	},
	"4.2.5": {
		"title": "idle streams end",
		"settings": ["streamingConnectionIdleTimeout"],
		"wanted": "more than 0",
		"fix": "remove `--streaming-connection-idle-timeout=0`",
		"scored": false,
		"always": true,
	},
	"4.2.6": {
		"title": "the kubelet keeps its iptables chains",
		"settings": ["makeIPTablesUtilChains"],
		"wanted": "true",
		"fix": "set `makeIPTablesUtilChains: true`",
		"scored": true,
		"always": true,
	},
	"4.2.7": {
		"title": "the host's name is not overridden",
		"settings": ["--hostname-override"],
		"wanted": "not set",
		"fix": "remove `--hostname-override`",
		"scored": false,
		"always": true,
	},
	"4.2.8": {
		"title": "events are captured",
		"settings": ["eventRecordQPS"],
		"wanted": "0 or more",
		"fix": "set `eventRecordQPS` to a rate that suits the node, or to 0 for no limit",
		"scored": false,
		"always": true,
	},
	"4.2.9": {
		"title": "the serving certificate is one that was issued",
		"settings": ["tlsCertFile", "tlsPrivateKeyFile"],
		"wanted": "two files",
		"fix": "set `tlsCertFile` and `tlsPrivateKeyFile`",
		"scored": false,
		"always": true,
	},
	"4.2.10": {
		"title": "the client certificate is rotated",
		"settings": ["rotateCertificates"],
		"wanted": "true",
		"fix": "set `rotateCertificates: true`",
		"scored": true,
		"always": true,
	},
	"4.2.11": {
		"title": "the serving certificate can be rotated",
		"settings": ["featureGates.RotateKubeletServerCertificate"],
		"wanted": "true",
		"fix": "remove `RotateKubeletServerCertificate: false` from `featureGates`",
		"scored": false,
		"always": true,
	},
	"4.2.12": {
		"title": "TLS has strong cipher suites only",
		"settings": ["tlsCipherSuites"],
		"wanted": "ECDHE with AES-GCM or ChaCha20",
		"fix": sprintf("set `tlsCipherSuites` to some of %s", [concat(", ", sort(_strong))]),
		"scored": false,
		"always": true,
	},
	"4.2.13": {
		"title": "a pod's processes are limited",
		"settings": ["podPidsLimit"],
		"wanted": "more than 0",
		"fix": "set `podPidsLimit`",
		"scored": false,
		"always": true,
	},
	"4.2.14": {
		"title": "pods have the runtime's seccomp profile",
		"settings": ["seccompDefault"],
		"wanted": "true",
		"fix": "set `seccompDefault: true`",
		"scored": false,
		"always": true,
	},
	"4.2.15": {
		"title": "the unit talks to listed addresses only",
		"settings": ["IPAddressDeny"],
		"wanted": "any",
		"fix": "set `IPAddressDeny=any` in the unit, and `IPAddressAllow`",
		"scored": false,
		"always": false,
	},
}

# METADATA
# description: The identifiers of what is met.
met contains "4.2.1" if input.settings["authentication.anonymous.enabled"].value == false

met contains "4.2.2" if input.settings["authorization.mode"].value == "Webhook"

met contains "4.2.3" if _is_named(input.settings["authentication.x509.clientCAFile"].value)

met contains "4.2.4" if input.settings.readOnlyPort.value == 0

met contains "4.2.5" if time.parse_duration_ns(input.settings.streamingConnectionIdleTimeout.value) > 0

met contains "4.2.6" if input.settings.makeIPTablesUtilChains.value == true

met contains "4.2.7" if input.settings["--hostname-override"].value == ""

met contains "4.2.8" if {
	is_number(input.settings.eventRecordQPS.value)
	input.settings.eventRecordQPS.value >= 0
}

met contains "4.2.9" if {
	_is_named(input.settings.tlsCertFile.value)
	_is_named(input.settings.tlsPrivateKeyFile.value)
}

met contains "4.2.10" if input.settings.rotateCertificates.value == true

met contains "4.2.11" if input.settings["featureGates.RotateKubeletServerCertificate"].value == true

# Without a list, Go's own is taken, which has CBC suites.
met contains "4.2.12" if {
	is_array(input.settings.tlsCipherSuites.value)
	count(input.settings.tlsCipherSuites.value) > 0
	every suite in input.settings.tlsCipherSuites.value {
		suite in _strong
	}
}

met contains "4.2.13" if {
	is_number(input.settings.podPidsLimit.value)
	input.settings.podPidsLimit.value > 0
}

met contains "4.2.14" if input.settings.seccompDefault.value == true

met contains "4.2.15" if input.settings.IPAddressDeny.value == "any"

_is_named(file) if {
	is_string(file)
	file != ""
}

# 1.10 and 1.11 had two with RSA key exchange, too.
_strong := {
	"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
	"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
	"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
	"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
	"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
	"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
}
