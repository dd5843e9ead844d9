# METADATA
# title: Kubelet API authorization
# description: |
#   Allows what the presets of the calling peer allow, and nothing else. Grants are a set:
#   presets combine without conflict, and the grant that allowed a request gives the rule its name.
package kubelet.authz

import data.kubelet.authz.peers
import data.kubelet.authz.presets.logs
import data.kubelet.authz.presets.observe
import data.kubelet.authz.presets.operate

# METADATA
# description: The answer to one request. `reason` is for the log, callers never see it.
# entrypoint: true
default decision := {"allow": false, "reason": "the peer is not pinned"}

decision := {"allow": true, "rule": min(allow)} if {
	count(allow) > 0
} else := {"allow": false, "reason": "no preset of the peer allows it"} if {
	count(peers.presets) > 0
}

# METADATA
# description: The names of all grants that cover the request.
allow contains grant if {
	"observe" in peers.presets
	some grant in observe.allow
}

allow contains grant if {
	"logs" in peers.presets
	some grant in logs.allow
}

allow contains grant if {
	"operate" in peers.presets
	some grant in operate.allow
}
