# METADATA
# title: Findings in the data
# description: |
#   What in the data is probably not meant. Nothing here takes part in a decision. `gatelet check` prints
#   the findings. The data is the input: `data.csr` has these rules as well.
package csr.approval.lint

# METADATA
# description: One sentence for each finding.
# entrypoint: true
findings contains finding if {
	is_string(_preset)
	not _preset in {"rubber-stamp", "strict", "inventory"}
	finding := "`data.csr.preset` is none of `rubber-stamp`, `strict` and `inventory`, so every request is left"
}

findings contains "there is no `data.csr.inventory`, so preset `inventory` approves nothing" if {
	_preset == "inventory"
	not "inventory" in object.keys(_csr)
}

findings contains finding if {
	_preset == "strict"
	not "inventory" in object.keys(_csr)
	not _reserves_addresses
	finding := concat(" ", [
		"`data.csr.api_server.cidrs` is empty, so whoever edits a Node object can have a certificate",
		"for the API server's address",
	])
}

findings contains finding if {
	some part in _parts
	not is_object(part.value)
	finding := _mistyped(part.path, part.value, "object")
}

findings contains finding if {
	some part in _parts
	is_object(part.value)
	some key in object.keys(part.value) - object.keys(part.types)
	finding := sprintf("`data.%s` has the unknown key `%s`", [part.path, key])
}

findings contains finding if {
	some part in _parts
	is_object(part.value)
	some key, value in part.value
	type_name(value) != part.types[key]
	finding := _mistyped(sprintf("%s.%s", [part.path, key]), value, part.types[key])
}

# Of lists: what is none of what the list is of.
findings contains finding if {
	some part in _parts
	is_object(part.value)
	some key, check in {"dns": "name", "domains": "name", "ip": "address", "cidrs": "range", "key_sha256": "digest"}
	is_array(part.value[key])
	some value in part.value[key]
	not _is(check, value)
	finding := sprintf("`data.%s.%s` has `%v`, which is no %s", [part.path, key, value, check])
}

findings contains finding if {
	is_array(_csr.patterns)
	some i, pattern in _csr.patterns
	not _is("pattern", pattern)
	finding := sprintf("`data.csr.patterns[%d]` has other keys than `prefix` and `suffix`, so it permits nothing", [i])
}

_mistyped(path, value, want) := sprintf("`data.%s` is of type %s, not %s", [path, type_name(value), want])

default _csr := {}

_csr := input.csr

_preset := object.get(_csr, "preset", "strict")

_reserves_addresses if count(_csr.api_server.cidrs) > 0

_parts contains {"path": "csr", "value": _csr, "types": {
	"preset": "string", "inventory": "object", "cidrs": "array", "domains": "array", "patterns": "array",
	"api_server": "object", "limits": "object",
}}

_parts contains {"path": "csr.api_server", "value": _csr.api_server, "types": {"dns": "array", "cidrs": "array"}}

_parts contains part if {
	types := {name: "number" | some name, _ in data.csr.approval.limits.usual}
	part := {"path": "csr.limits", "value": _csr.limits, "types": types}
}

_parts contains part if {
	is_object(_csr.inventory)
	some node, entry in _csr.inventory
	types := {"dns": "array", "ip": "array", "key_sha256": "array"}
	part := {"path": sprintf("csr.inventory[%q]", [node]), "value": entry, "types": types}
}

_is(check, value) if {
	check == "name"
	is_string(value)
}

_is(check, value) if {
	check == "address"
	is_string(value)
	not contains(value, "/")
	net.cidr_contains("0.0.0.0/0", value)
}

_is(check, value) if {
	check == "address"
	is_string(value)
	not contains(value, "/")
	net.cidr_contains("::/0", value)
}

_is(check, value) if {
	check == "range"
	is_string(value)
	net.cidr_is_valid(value)
}

_is(check, value) if {
	check == "digest"
	is_string(value)
	count(value) == 64
	trim(value, "0123456789abcdef") == ""
}

_is(check, value) if {
	check == "pattern"
	object.keys(value) == {"prefix", "suffix"}
}
