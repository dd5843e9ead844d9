package csr.approval.lint_test

import data.csr.approval.lint

_reserved := {"cidrs": ["10.96.0.0/12"]}

_digest := "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"

test_good_data_has_no_findings if {
	lint.findings == set() with input as {"csr": {"api_server": _reserved}}
	lint.findings == set() with input as {"csr": {
		"preset": "inventory",
		"inventory": {"worker-1": {"dns": ["worker-1"], "ip": ["10.0.0.11", "fd00::11"], "key_sha256": [_digest]}},
		"limits": {"pending": 5},
		"cidrs": ["10.0.0.0/8", "fd00::/8"],
		"domains": ["corp.example"],
		"patterns": [{"prefix": "gpu-", "suffix": ".lab.example"}],
		"api_server": {"dns": ["api.example.com"], "cidrs": ["10.96.0.0/12"]},
	}}
}

test_each_mistake_is_found if {
	every want, change in {
		"`data.csr.preset` is none of `rubber-stamp`, `strict` and `inventory`, so every request is left": {"preset": "lax"},
		"`data.csr.preset` is of type null, not string": {"preset": null},
		"there is no `data.csr.inventory`, so preset `inventory` approves nothing": {"preset": "inventory"},
		"`data.csr` has the unknown key `presett`": {"presett": "inventory"},
		"`data.csr.api_server` has the unknown key `cidr`": {"api_server": {"cidr": ["10.0.0.0/8"]}},
		"`data.csr.api_server.dns` is of type string, not array": {"api_server": {"dns": "api"}},
		"`data.csr.api_server.cidrs` has `all`, which is no range": {"api_server": {"cidrs": ["all"]}},
		"`data.csr.limits` has the unknown key `max_expiry`": {"limits": {"max_expiry": 1}},
		"`data.csr.limits.max_age_seconds` is of type string, not number": {"limits": {"max_age_seconds": "60"}},
		"`data.csr.limits` is of type null, not object": {"limits": null},
		"`data.csr.inventory` is of type array, not object": {"inventory": []},
		"`data.csr.inventory` is of type null, not object": {"inventory": null},
		"`data.csr.inventory[\"worker-1\"]` is of type null, not object": {"inventory": {"worker-1": null}},
		"`data.csr.inventory[\"worker-1\"]` has the unknown key `ips`": {"inventory": {"worker-1": {"ips": []}}},
		"`data.csr.inventory[\"worker-1\"].ip` has `10.0.0`, which is no address": {"inventory": {"worker-1": {"ip": ["10.0.0"]}}},
		"`data.csr.inventory[\"worker-1\"].key_sha256` is of type null, not array": {"inventory": {"worker-1": {"key_sha256": null}}},
		"`data.csr.inventory[\"worker-1\"].key_sha256` has `AB`, which is no digest": {"inventory": {"worker-1": {"key_sha256": ["AB"]}}},
		"`data.csr.cidrs` has `10.0.0.0`, which is no range": {"cidrs": ["10.0.0.0"]},
		"`data.csr.cidrs` has `null`, which is no range": {"cidrs": [null]},
		"`data.csr.domains` has `1`, which is no name": {"domains": [1]},
		"`data.csr.patterns[0]` has other keys than `prefix` and `suffix`, so it permits nothing": {"patterns": [{"prefix": "a"}]},
	} {
		lint.findings == {want} with input as {"csr": object.union({"api_server": _reserved}, change)}
	}
}

test_no_mistake_stops_the_search if {
	every value in [null, false, "csr", 1, []] {
		count(lint.findings) > 0 with input as {"csr": value}
	}
}

test_addresses_that_a_node_object_could_claim_are_found if {
	every data_ in [{}, {"csr": {}}, {"csr": {"api_server": {"cidrs": []}}}] {
		findings := lint.findings with input as data_
		count(findings) == 1
		some finding in findings
		contains(finding, "certificate for the API server's address")
	}
	lint.findings == set() with input as {"csr": {"preset": "rubber-stamp"}}
	lint.findings == set() with input as {"csr": {"inventory": {}}}
}
