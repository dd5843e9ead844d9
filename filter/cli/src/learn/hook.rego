# METADATA
# title: Grants of the preset learned
# description: What `gatelet learn` adds to the grants of the shipped policy.
package kubelet.authz

allow contains grant if {
	"learned" in data.kubelet.authz.peers.presets
	some grant in data.kubelet.authz.presets.learned.allow
}
