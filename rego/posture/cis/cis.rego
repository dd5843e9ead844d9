# METADATA
# title: CIS Kubernetes Benchmark, section 4.2
# description: |
#   The identifiers are those of version 1.12, and 4.2.15 of 1.11. `scored` are those that the benchmark
#   assesses by itself; not to meet one is a failure, and of any other a warning.
package posture.cis

requirements := {
	"4.2.1": {"settings": ["authentication.anonymous.enabled"], "scored": true},
	"4.2.2": {"settings": ["authorization.mode"], "scored": true},
	"4.2.3": {"settings": ["authentication.x509.clientCAFile"], "scored": true},
	"4.2.4": {"settings": ["readOnlyPort"], "scored": false},
	"4.2.5": {"settings": ["streamingConnectionIdleTimeout"], "scored": false},
	"4.2.6": {"settings": ["makeIPTablesUtilChains"], "scored": true},
	"4.2.7": {"settings": ["--hostname-override"], "scored": false},
	"4.2.8": {"settings": ["eventRecordQPS"], "scored": false},
	"4.2.9": {"settings": ["tlsCertFile", "tlsPrivateKeyFile"], "scored": false},
	"4.2.10": {"settings": ["rotateCertificates"], "scored": true},
	"4.2.11": {"settings": ["featureGates.RotateKubeletServerCertificate"], "scored": false},
	"4.2.12": {"settings": ["tlsCipherSuites"], "scored": false},
	"4.2.13": {"settings": ["podPidsLimit"], "scored": false},
	"4.2.14": {"settings": ["seccompDefault"], "scored": false},
	"4.2.15": {"settings": ["IPAddressDeny"], "scored": false, "if_shown": true},
}

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
