# METADATA
# title: Findings in the data
# description: |
#   What in the data is probably not meant. Nothing here takes part in a decision. `gatelet check` prints
#   the findings.
package csr.approval.lint

# METADATA
# description: One sentence for each finding.
# entrypoint: true
findings contains finding if {
	not data.csr.approval.preset in {"rubber-stamp", "strict", "inventory"}
	finding := "`data.csr.preset` is none of `rubber-stamp`, `strict` and `inventory`, so every request is left"
}

findings contains "there is no `data.csr.inventory`, so preset `inventory` approves nothing" if {
	data.csr.approval.preset == "inventory"
	not data.csr.inventory
}

findings contains finding if {
	some node, entry in data.csr.inventory
	some key in object.keys(entry) - {"dns", "ip", "key_sha256"}
	finding := sprintf("`data.csr.inventory[%q]` has the unknown key `%s`", [node, key])
}

findings contains finding if {
	some key in object.keys(data.csr.limits) - object.keys(data.csr.approval.limits.usual)
	finding := sprintf("`data.csr.limits` has the unknown key `%s`", [key])
}

findings contains finding if {
	some cidr in data.csr.cidrs
	not net.cidr_is_valid(cidr)
	finding := sprintf("`data.csr.cidrs` has `%v`, which is no range of addresses", [cidr])
}

findings contains finding if {
	some cidr in data.csr.api_server.cidrs
	not net.cidr_is_valid(cidr)
	finding := sprintf("`data.csr.api_server.cidrs` has `%v`, which is no range of addresses", [cidr])
}
