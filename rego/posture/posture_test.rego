package posture_test

import data.posture

_status(profile, settings) := {check.id: check.status | some check in _checks(profile, settings)}

_checks(profile, settings) := checks if {
	checks := posture.checks with input as {"profile": profile, "settings": settings}
}

test_a_requirement_comes_to_one_of_five if {
	every setting, want in {
		{"value": false}: "PASS",
		{"value": true}: "FAIL",
		{"unreadable": "no"}: "UNKNOWN",
	} {
		_status("cis", {"authentication.anonymous.enabled": setting})["4.2.1"] == want
	}
	_status("cis", {})["4.2.1"] == "MANUAL"
	_status("cis", {"readOnlyPort": {"value": 10255}})["4.2.4"] == "WARN"
}

test_half_of_what_is_looked_at_is_not_enough if {
	_status("cis", {"tlsCertFile": {"value": "tls.crt"}})["4.2.9"] == "MANUAL"
	_status("cis", {"tlsCertFile": {"value": "tls.crt"}, "tlsPrivateKeyFile": {"unreadable": "1"}})["4.2.9"] == "UNKNOWN"
}

test_probes_and_units_are_judged_where_there_are_some if {
	_status("cis", {"port 10255": {"value": "open"}})["probe.read-only-port"] == "FAIL"
	_status("cis", {"IPAddressDeny": {"value": ""}})["4.2.15"] == "WARN"
	object.keys(_status("cis", {})) & {"4.2.15", "probe.anonymous", "probe.read-only-port"} == set()
}

test_profile_owned_replaces_authorization if {
	ids := object.keys(_status("owned", {}))
	not "4.2.2" in ids
	{"4.2.1", "gate.authorization", "gate.client-ca"} - ids == set()
}

# Who asks takes an empty set for an error.
test_an_unknown_profile_requires_nothing if {
	posture.report == {"checks": set()} with input as {"profile": "none", "settings": {}}
}
