package posture.cis_test

import data.posture.cis

_values(values) := {"settings": {setting: {"value": value} | some setting, value in values}}

_settings contains setting if {
	some requirement in cis.requirements
	some setting in requirement.settings
}

test_what_is_required_is_met_by_it if {
	met := cis.met with input as _values({
		"--hostname-override": "",
		"IPAddressDeny": "any",
		"authentication.anonymous.enabled": false,
		"authentication.x509.clientCAFile": "/etc/kubernetes/pki/ca.crt",
		"authorization.mode": "Webhook",
		"eventRecordQPS": 0,
		"featureGates.RotateKubeletServerCertificate": true,
		"makeIPTablesUtilChains": true,
		"podPidsLimit": 1,
		"readOnlyPort": 0,
		"rotateCertificates": true,
		"seccompDefault": true,
		"streamingConnectionIdleTimeout": "5m",
		"tlsCertFile": "tls.crt",
		"tlsCipherSuites": ["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"],
		"tlsPrivateKeyFile": "tls.key",
	})
	met == object.keys(cis.requirements)
}

test_nothing_is_met_by_nothing if {
	cis.met == set() with input as {}
	cis.met == set() with input as {"settings": {}}
	unreadable := {setting: {"unreadable": ""} | some setting in _settings}
	cis.met == set() with input as {"settings": unreadable}
}

# Rego orders values of different types, so that a text is more than any number.
test_nothing_is_met_by_a_value_of_another_type if {
	every value in [null, "0", "false", [], ["TLS_RSA_WITH_AES_128_GCM_SHA256"], {}, -1] {
		values := {setting: value | some setting in _settings}
		met := cis.met with input as _values(values)
		met & {"4.2.1", "4.2.4", "4.2.5", "4.2.6", "4.2.8", "4.2.10", "4.2.11", "4.2.12", "4.2.13", "4.2.14"} == set()
	}
}

test_one_weak_suite_is_one_too_many if {
	every suite in ["TLS_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", ""] {
		not "4.2.12" in cis.met with input as _values({"tlsCipherSuites": [
			"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
			suite,
		]})
	}
}

test_a_certificate_without_its_key_is_none if {
	not "4.2.9" in cis.met with input as _values({"tlsCertFile": "tls.crt", "tlsPrivateKeyFile": ""})
	not "4.2.9" in cis.met with input as _values({"tlsCertFile": "tls.crt"})
}
