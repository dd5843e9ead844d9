# METADATA
# title: A kubelet's posture
# description: |
#   Holds a kubelet's settings against the requirements of a profile. What is met is a set that only
#   grows: a setting that is missing, can't be read or has another type meets nothing.
package posture

# METADATA
# description: What each requirement of the profile comes to.
# entrypoint: true
report := {"checks": checks}

checks contains check if {
	some id, requirement in _required
	_is_asked(requirement)
	check := {
		"id": id,
		"settings": requirement.settings,
		"status": _status(id, requirement),
	}
}

_required := object.union(data.posture.cis.requirements, data.posture.probes.requirements) if {
	input.profile == "cis"
} else := object.union(_required_of_every_gate, data.posture.gate.hardened) if {
	input.profile == "hardened"
} else := object.remove(object.union(_required_of_every_gate, data.posture.gate.owned), ["4.2.2"]) if {
	# Nobody but the gate gets to its kubelet, so it asks nobody.
	input.profile == "owned"
}

_required_of_every_gate := object.union_n([
	data.posture.cis.requirements,
	data.posture.probes.requirements,
	data.posture.gate.requirements,
])

# Some can only be asked of a source that shows them.
_is_asked(requirement) if not "if_shown" in object.keys(requirement)

_is_asked(requirement) if count(_looks_at(requirement) & object.keys(input.settings)) > 0

_status(id, requirement) := "UNKNOWN" if {
	count(_looks_at(requirement) & _unreadable) > 0
} else := "MANUAL" if {
	count(_looks_at(requirement) - object.keys(input.settings)) > 0
} else := "PASS" if {
	id in _met
} else := "FAIL" if {
	requirement.scored
} else := "WARN"

_looks_at(requirement) := {setting | some setting in requirement.settings}

_unreadable contains setting if {
	some setting, found in input.settings
	"unreadable" in object.keys(found)
}

_met contains id if some id in data.posture.cis.met

_met contains id if some id in data.posture.gate.met

_met contains id if some id in data.posture.probes.met
