# METADATA
# title: Kubelet API authorization
# description: |
#   Allows what the presets of the calling peer allow, and nothing else; a caller without a
#   certificate is no peer, and has the preset `scrape` at most. Grants are a set: presets
#   combine without conflict, and the grant that allowed a request gives the rule its name.
package kubelet.authz

# Rules are named by their full path: of an imported package, regorus evaluates every rule.

# METADATA
# description: The answer to one request. `reason` is for the log, callers never see it.
# entrypoint: true
default decision := {"allow": false, "reason": "the peer is not pinned"}

decision := {"allow": true, "rule": min(allow)} if {
	allow != set()
	data.kubelet.authz.presets.closed.applies == false
} else := {"allow": false, "reason": "no preset of the peer allows it"} if {
	data.kubelet.authz.peers.presets != set()
}

# METADATA
# description: The names of all grants that cover the request.
allow contains "observe" if {
	"observe" in data.kubelet.authz.peers.presets
	data.kubelet.authz.presets.observe.allow
}

allow contains "logs" if {
	"logs" in data.kubelet.authz.peers.presets
	data.kubelet.authz.presets.logs.allow
}

allow contains "scrape" if data.kubelet.authz.presets.scrape.allow

allow contains grant if {
	"operate" in data.kubelet.authz.peers.presets
	some grant in data.kubelet.authz.presets.operate.allow
}
