# METADATA
# title: Pinned peers
# description: |
#   Who is calling, and with which presets. Every certificate of the cluster's CA passes the
#   handshake, so the peers that count are named in `data.kubelet.peers`; the others get nothing.
package kubelet.authz.peers

import data.kubelet.authz.presets.closed

# METADATA
# description: The presets of the calling peer. Empty for a peer that isn't pinned.
presets contains preset if {
	closed.spares(_listed)
	some preset in _listed
}

# A peer may match several entries and gets the presets of them all.
_listed contains preset if {
	input.peer.authenticated == true
	_presents_no_denied_certificate
	some entry in data.kubelet.peers
	_pins(entry)
	some preset in entry.presets
}

# An entry with a misspelt key would pin less than its author meant, so it pins nobody.
_pins(entry) if {
	object.remove(entry, ["common_name", "organization", "certificate_sha256", "presets"]) == {}
	entry.common_name == input.peer.common_name
	_names_organization(entry.organization)
	_certifies(object.get(entry, "certificate_sha256", input.peer.certificate_sha256))
}

_names_organization(organization) if organization in input.peer.organizations

# Since May 2026 kubeadm's certificate names no organization; `null` pins exactly that.
_names_organization(null) if input.peer.organizations == []

_certifies(digest) if _canonical(digest) == _canonical(input.peer.certificate_sha256)

default _denied_certificates := []

_denied_certificates := data.kubelet.denied_certificates

# A digest that can't be read might be the caller's: it denies everybody.
_presents_no_denied_certificate if {
	every denied in _denied_certificates {
		digest := _canonical(denied)
		count(digest) == 64
		digest != _canonical(input.peer.certificate_sha256)
	}
}

# Both spellings that people paste: `ab12…` and openssl's `AB:12:…`.
_canonical(digest) := lower(replace(digest, ":", ""))
