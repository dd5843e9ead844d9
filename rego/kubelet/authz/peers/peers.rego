# METADATA
# title: Pinned peers
# description: |
#   Who is calling, and with which presets. Every certificate of the cluster's CA passes the
#   handshake, so the peers that count are named in `data.kubelet.peers`; the others get nothing.
package kubelet.authz.peers

# METADATA
# description: |
#   The presets of the calling peer, from all entries that pin it. Empty for a peer that isn't pinned.
presets contains preset if {
	input.peer.authenticated == true
	_presents_no_denied_certificate
	some entry in data.kubelet.peers
	# A name left blank in YAML is `null`, as is the name of a certificate without one.
	is_string(entry.common_name)
	entry.common_name != ""
	entry.common_name == input.peer.common_name
	entry.organization in _organizations
	_pins_only_that(entry)
	some preset in entry.presets
}

# An entry has three keys, or four with a digest. Any other key is a misspelt condition: an entry
# that would pin less than its author meant pins nobody. Digests may have openssl's `AB:12:…`.
_pins_only_that(entry) if count(entry) == 3

_pins_only_that(entry) if {
	count(entry) == 4
	lower(replace(entry.certificate_sha256, ":", "")) == input.peer.certificate_sha256
}

# Since May 2026 kubeadm's certificate names no organization; `null` pins exactly that.
_organizations := input.peer.organizations if {
	input.peer.organizations != []
} else := [null] if {
	input.peer.organizations == []
}

default _denied_certificates := []

_denied_certificates := data.kubelet.denied_certificates

# A digest that can't be read might be the caller's, so it denies everybody.
_presents_no_denied_certificate if {
	every denied in _denied_certificates {
		digest := lower(replace(denied, ":", ""))
		count(digest) == 64
		digest != input.peer.certificate_sha256
	}
}
