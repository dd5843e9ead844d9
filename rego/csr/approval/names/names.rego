# METADATA
# title: Names and addresses
# description: |
#   Which names and addresses a node may have in its certificate, and who says so: an inventory in
#   `data.csr.inventory`, ranges in `data.csr.cidrs`, names in `data.csr.domains` and
#   `data.csr.patterns`. Without an inventory the certificate that the node serves does, and else the
#   Node object, whose addresses the control plane and the node itself can edit. An inventory is there
#   as soon as its key is: one that can't be read has no nodes.
package csr.approval.names

# METADATA
# description: The names of the checks that the request passes.
passed contains "names" if {
	count(_wanted) > 0
	_wanted - _permitted == set()
}

passed contains "plain-names" if {
	every name in input.request.sans.dns {
		_is_plain(name)
	}
	every ip in input.request.sans.ip {
		_is_a_host(ip)
	}
}

passed contains "api-server-names" if {
	reserved_is_readable
	_names & _reserved_names == set()
	every name in _names {
		not endswith(name, ".svc")
		not endswith(name, ".cluster.local")
		not endswith(name, ".localhost")
	}
	every ip in input.request.sans.ip {
		every cidr in _reserved_cidrs {
			net.cidr_contains(cidr, ip) == false
		}
	}
}

passed contains "inventory" if _relies_on_the_cluster

# The keys that an attested node has can be pinned beside its names.
passed contains "inventory" if {
	is_object(_entry)
	not "key_sha256" in object.keys(_entry)
}

passed contains "inventory" if {
	is_array(_entry.key_sha256)
	input.request.key.sha256 in _entry.key_sha256
}

# METADATA
# description: The names of the checks that the request plainly fails.
# A Node object may get an address, and a kubelet may be reached, in a moment. An inventory is complete.
failed contains "names" if {
	_others != set()
	is_object(_entry)
}

failed contains "plain-names" if {
	some name in input.request.sans.dns
	not _is_plain(name)
}

failed contains "plain-names" if {
	some ip in input.request.sans.ip
	not _is_a_host(ip)
}

failed contains "api-server-names" if _names & _reserved_names != set()

failed contains "api-server-names" if {
	some name in _names
	some suffix in {".svc", ".cluster.local", ".localhost"}
	endswith(name, suffix)
}

failed contains "api-server-names" if {
	some ip in input.request.sans.ip
	some cidr in _reserved_cidrs
	net.cidr_contains(cidr, ip)
}

failed contains "inventory" if {
	is_array(_entry.key_sha256)
	not input.request.key.sha256 in _entry.key_sha256
}

# METADATA
# description: What an approval is based on, as a sentence.
sources := "The request is well-formed; nobody compared its names and addresses with anything." if {
	data.csr.approval.preset == "rubber-stamp"
} else := "The names and addresses are those that the inventory and its ranges permit." if {
	_has_inventory
} else := "The names and addresses are within the ranges and domains that the policy permits." if {
	_wanted - _from_data == set()
} else := "The names and addresses are those of the certificate that the node serves." if {
	_wanted - (_from_data | _from_live) == set()
} else := concat(" ", [
	"There is no inventory: the names and addresses are those of the Node object,",
	"which the control plane and the node itself can edit.",
])

# METADATA
# description: Why names and addresses are not permitted, as a sentence.
explanation := "There are no names and addresses to permit." if {
	_wanted == set()
} else := "The Node object has no addresses yet." if {
	_relies_on_the_cluster
	count(input.node.dns) + count(input.node.ip) == 0
} else := sprintf("Not of the node %s by %s: %s.", [input.node.name, _authority, concat(", ", _others)])

_authority := "its Node object or the certificate that it serves" if {
	_relies_on_the_cluster
} else := "the inventory"

_others := _wanted - _permitted

_wanted := _names | {ip | some ip in input.request.sans.ip}

# DNS names have no case.
_names := {lower(name) | some name in input.request.sans.dns}

_permitted contains name if some name in _from_inventory

_permitted contains name if some name in _from_data

_permitted contains name if {
	_relies_on_the_cluster
	some name in _from_live
}

_permitted contains name if {
	_relies_on_the_cluster
	some name in _from_node
}

default _has_inventory := false

_has_inventory if type_name(data.csr.inventory) != ""

# With an inventory, or where one is asked for, the cluster's own word doesn't count.
_relies_on_the_cluster if {
	_has_inventory == false
	data.csr.approval.preset == "strict"
}

_entry := entry if {
	is_object(data.csr.inventory)
	entry := data.csr.inventory[input.node.name]
	is_object(entry)
}

_from_inventory contains lower(name) if some name in _entry.dns

_from_inventory contains ip if some ip in _entry.ip

_from_data contains ip if {
	some ip in input.request.sans.ip
	some cidr in data.csr.cidrs
	net.cidr_contains(cidr, ip)
}

_from_data contains name if {
	some name in _names
	some domain in data.csr.domains
	name == lower(sprintf("%s.%s", [input.node.name, domain]))
}

_from_data contains name if {
	some name in _names
	some pattern in data.csr.patterns
	count(pattern) == 2
	startswith(name, pattern.prefix)
	endswith(name, pattern.suffix)
	length := count(name) - (count(pattern.prefix) + count(pattern.suffix))
	length > 0
	contains(substring(name, count(pattern.prefix), length), ".") == false
}

# A certificate of the cluster's CA whose key the node has: the same names may stay, for as long as the
# node does. Where there is none, `input.serving` is null and has no names.
_from_live contains lower(name) if {
	_serves_its_own_certificate
	some name in input.serving.sans.dns
}

_from_live contains ip if {
	_serves_its_own_certificate
	some ip in input.serving.sans.ip
}

_serves_its_own_certificate if {
	input.node.exists == true
	input.request.subject.common_name == input.username
	is_string(input.serving.subject.common_name)
	input.serving.subject.common_name == input.request.subject.common_name
	input.serving.subject.organizations == ["system:nodes"]
}

_from_node contains lower(name) if some name in input.node.dns

_from_node contains ip if some ip in input.node.ip

# Host names of RFC 1123, and no wildcards. Of a name that has no other letters, nothing is left.
_is_plain(name) if {
	name != ""
	count(name) <= 253
	trim(lower(name), "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
	every part in {"..", ".-", "-."} {
		contains(sprintf(".%s.", [name]), part) == false
	}
}

# Unspecified, multicast and IPv4 within IPv6 are nobody's own.
_is_a_host(ip) if {
	every cidr in ["0.0.0.0/8", "224.0.0.0/3", "::/96", "::ffff:0:0/96", "ff00::/8"] {
		net.cidr_contains(cidr, ip) == false
	}
}

# METADATA
# description: Whether `data.csr.api_server` can be read. If not, nobody knows what it reserves.
reserved_is_readable if {
	is_object(_reserved)
	object.keys(_reserved) - {"dns", "cidrs"} == set()
	every _, values in _reserved {
		is_array(values)
	}
}

default _reserved := {}

_reserved := data.csr.api_server

_reserved_names contains name if {
	some name in [
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		"localhost", "localhost.localdomain",
	]
}

_reserved_names contains lower(name) if {
	reserved_is_readable
	some name in _reserved.dns
}

_reserved_cidrs contains cidr if {
	some cidr in ["127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10"]
}

_reserved_cidrs contains cidr if {
	reserved_is_readable
	some cidr in _reserved.cidrs
}
