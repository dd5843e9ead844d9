package kubelet.authz.presets.closed_test

import data.kubelet.authz.presets.closed

test_presets_without_closed_stay_in_force if {
	every presets in [set(), {"logs"}, {"observe", "Closed"}] {
		closed.spares(presets)
	}
}

test_closed_leaves_nothing_in_force if {
	every presets in [{"closed"}, {"closed", "logs"}] {
		not closed.spares(presets)
	}
}
