package posture.probes_test

import data.posture.probes

_values(anonymous, port) := {"settings": {
	"answer to an anonymous request": {"value": anonymous},
	"port 10255": {"value": port},
}}

test_a_refusal_and_a_closed_port_are_met if {
	probes.met == {"probe.anonymous", "probe.read-only-port"} with input as _values(401, "closed")
}

test_anything_else_is_not if {
	every anonymous in [200, 403, 503, "401", null] {
		probes.met == set() with input as _values(anonymous, "open")
	}
}
