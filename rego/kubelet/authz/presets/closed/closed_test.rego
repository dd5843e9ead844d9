package kubelet.authz.presets.closed_test

import data.kubelet.authz.peers
import data.kubelet.authz.presets.closed

test_other_presets_leave_the_peer_in if {
	every presets in [set(), {"logs"}, {"observe", "Closed"}] {
		closed.applies == false with peers.presets as presets
	}
}

test_closed_shuts_the_peer_out_whatever_else_it_has if {
	every presets in [{"closed"}, {"closed", "logs"}] {
		closed.applies == true with peers.presets as presets
	}
}
