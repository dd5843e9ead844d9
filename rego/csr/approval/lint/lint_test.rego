package csr.approval.lint_test

import data.csr.approval.lint

test_good_data_has_no_findings if {
	lint.findings == set()
	lint.findings == set() with data.csr.preset as "inventory"
		with data.csr.inventory as {"worker-1": {"dns": ["worker-1"], "ip": [], "key_sha256": []}}
		with data.csr.limits as {"pending": 5}
		with data.csr.cidrs as ["10.0.0.0/8", "fd00::/8"]
		with data.csr.api_server.cidrs as ["10.96.0.0/12"]
}

test_an_unknown_preset_is_found if {
	count(lint.findings) == 1 with data.csr.preset as "lax"
}

test_a_preset_without_its_inventory_is_found if {
	count(lint.findings) == 1 with data.csr.preset as "inventory"
}

test_unknown_keys_are_found if {
	count(lint.findings) == 1 with data.csr.inventory as {"worker-1": {"dns": [], "ips": []}}
	count(lint.findings) == 1 with data.csr.limits as {"max_expiry": 1}
}

test_ranges_that_are_none_are_found if {
	count(lint.findings) == 1 with data.csr.cidrs as ["10.0.0.0"]
	count(lint.findings) == 1 with data.csr.api_server.cidrs as ["all"]
}
