package csr.approval.names_test

import data.csr.approval.example_test
import data.csr.approval.names

test_the_node_s_own_addresses_are_permitted if {
	"names" in names.passed with input as example_test.serving
	"names" in names.passed with input as _names({"dns": ["WORKER-1"], "ip": ["10.0.0.11"]})
}

test_others_are_not if {
	every sans in [
		{"dns": ["worker-2"]},
		{"dns": ["worker-1", "worker-2"]},
		{"dns": ["worker-1.example.com"]},
		{"ip": ["10.0.0.12"]},
		{"ip": ["10.0.0.11", "10.0.0.12"]},
		{"ip": ["::ffff:10.0.0.11"]},
	] {
		not "names" in names.passed with input as _names(sans)
		not "names" in names.failed with input as _names(sans)
		"names" in names.failed with input as _names(sans)
			with data.csr.inventory as {"worker-1": example_test.entry}
	}
}

test_an_inventory_has_the_last_word if {
	"names" in names.passed with input as example_test.serving
		with data.csr.inventory as {"worker-1": example_test.entry}
	"names" in names.failed with input as example_test.serving
		with data.csr.inventory as {"worker-1": {"dns": ["worker-1"], "ip": []}}
}

# A mistake in it mustn't give the Node object the last word.
test_a_node_that_the_inventory_lacks_has_no_names if {
	every inventory in [
		{}, {"worker-2": example_test.entry}, {"worker-1": null}, {"worker-1": [example_test.entry]},
		[{"worker-1": example_test.entry}], "worker-1", 1, null, false, true,
	] {
		not "inventory" in names.passed with input as example_test.serving with data.csr.inventory as inventory
		not "names" in names.passed with input as example_test.serving with data.csr.inventory as inventory
		not "names" in names.failed with input as example_test.serving with data.csr.inventory as inventory
	}
}

test_preset_inventory_believes_no_node_object if {
	not "names" in names.passed with input as example_test.serving with data.csr.preset as "inventory"
}

test_a_pinned_key_is_the_only_one if {
	key := example_test.serving.request.key.sha256
	every pinned, want in {[key]: true, ["0"]: false, []: false} {
		entry := object.union(example_test.entry, {"key_sha256": pinned})
		passed := names.passed with input as example_test.serving with data.csr.inventory as {"worker-1": entry}
		("inventory" in passed) == want
		failed := names.failed with input as example_test.serving with data.csr.inventory as {"worker-1": entry}
		("inventory" in failed) != want
	}
	"inventory" in names.passed with input as example_test.serving
		with data.csr.inventory as {"worker-1": example_test.entry}
}

test_a_pin_that_can_t_be_read_fits_no_key if {
	every pinned in [null, false, "", example_test.serving.request.key.sha256, {}, 0, {"a": example_test.serving.request.key.sha256}] {
		entry := object.union(example_test.entry, {"key_sha256": pinned})
		not "inventory" in names.passed with input as example_test.serving
			with data.csr.inventory as {"worker-1": entry}
	}
}

test_only_strict_can_do_without_an_inventory if {
	"inventory" in names.passed with input as example_test.serving
	not "inventory" in names.passed with input as example_test.serving with data.csr.preset as "inventory"
}

test_ranges_domains_and_patterns_permit_more if {
	every sans in [
		{"ip": ["10.1.2.3"]},
		{"dns": ["worker-1.Corp.example"]},
		{"dns": ["gpu-7.lab.example"]},
	] {
		"names" in names.passed with input as _names(sans)
			with data.csr.cidrs as ["10.1.0.0/16"]
			with data.csr.domains as ["corp.example"]
			with data.csr.patterns as [{"prefix": "gpu-", "suffix": ".lab.example"}]
	}
	every sans in [
		{"ip": ["10.2.2.3"]},
		{"dns": ["worker-2.corp.example"]},
		{"dns": ["gpu-7.evil.lab.example"]},
		{"dns": ["gpu-.lab.example"]},
		{"dns": ["xgpu-7.lab.example"]},
	] {
		not "names" in names.passed with input as _names(sans)
			with data.csr.cidrs as ["10.1.0.0/16"]
			with data.csr.domains as ["corp.example"]
			with data.csr.patterns as [{"prefix": "gpu-", "suffix": ".lab.example"}]
	}
}

test_what_a_node_serves_may_be_renewed if {
	wanted := _names({"dns": ["old-name"], "ip": ["10.0.0.99"]})
	live := {"subject": wanted.request.subject, "sans": wanted.request.sans}
	"names" in names.passed with input as object.union(wanted, {"serving": live})
	every change in [{"node": {"exists": false}}, {"username": "system:node:worker-2"}] {
		not "names" in names.passed with input as object.union(wanted, object.union(change, {"serving": live}))
	}
}

test_what_a_node_serves_does_not_outdo_an_inventory if {
	wanted := _names({"dns": ["old-name"], "ip": ["10.0.0.99"]})
	live := {"subject": wanted.request.subject, "sans": wanted.request.sans}
	not "names" in names.passed with input as object.union(wanted, {"serving": live})
		with data.csr.inventory as {"worker-1": example_test.entry}
}

test_no_names_are_no_permitted_names if {
	not "names" in names.passed with input as _names({"dns": [], "ip": []})
}

# Another key is a misspelt condition.
test_a_pattern_has_two_keys if {
	not "names" in names.passed with input as _names({"dns": ["gpu-7.lab.example"]})
		with data.csr.patterns as [{"prefix": "gpu-", "suffix": ".lab.example", "nodes": ["gpu-7"]}]
}

test_the_explanation_names_what_is_missing if {
	contains(names.explanation, "by the inventory: 10.0.0.99") with input as _names({"ip": ["10.0.0.99"]})
		with data.csr.inventory as {"worker-1": example_test.entry}
	contains(names.explanation, "Node object or the certificate that it serves: 10.0.0.99") with input as _names({"ip": ["10.0.0.99"]})
	contains(names.explanation, "no addresses yet") with input as object.union(
		example_test.serving,
		{"node": {"dns": [], "ip": []}},
	)
}

test_an_absent_certificate_equals_nothing if {
	wanted := _names({"dns": ["old-name"], "ip": []})
	other := {"common_name": "system:node:worker-2", "organizations": ["system:nodes"]}
	masters := {"common_name": "system:node:worker-1", "organizations": ["system:masters"]}
	every serving in [
		null,
		{},
		{"subject": {"common_name": null, "organizations": []}, "sans": wanted.request.sans},
		{"subject": other, "sans": wanted.request.sans},
		{"subject": masters, "sans": wanted.request.sans},
	] {
		not "names" in names.passed with input as object.union(wanted, {"serving": serving})
	}
}

test_names_are_host_names if {
	every name in ["worker-1", "a", "1", "a.b-c.d", "WORKER-1"] {
		"plain-names" in names.passed with input as _names({"dns": [name]})
	}
	every name in [
		"", ".", "a.", ".a", "a..b", "-a", "a-", "a.-b", "*", "*.a", "a b", "a_b", "ä",
		"a/b", "worker-1\u0000", concat("", ["a" | some _ in numbers.range(1, 254)]),
	] {
		not "plain-names" in names.passed with input as _names({"dns": [name]})
		"plain-names" in names.failed with input as _names({"dns": [name]})
	}
}

test_addresses_are_hosts if {
	every ip in ["10.0.0.11", "203.0.113.7", "fd00::11", "2001:db8::1"] {
		"plain-names" in names.passed with input as _names({"ip": [ip]})
	}
	every ip in ["0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.1", "::", "::1", "ff02::1", "::ffff:10.0.0.11"] {
		not "plain-names" in names.passed with input as _names({"ip": [ip]})
		"plain-names" in names.failed with input as _names({"ip": [ip]})
	}
}

test_nobody_is_the_api_server if {
	"api-server-names" in names.passed with input as example_test.serving
	every sans in [
		{"dns": ["kubernetes"]}, {"dns": ["Kubernetes.Default"]}, {"dns": ["kubernetes.default.svc"]},
		{"dns": ["kubernetes.default.svc.cluster.local"]}, {"dns": ["metrics.kube-system.svc"]},
		{"dns": ["localhost"]}, {"dns": ["api.example.com"]}, {"ip": ["127.0.0.1"]}, {"ip": ["127.1.2.3"]},
		{"ip": ["::1"]}, {"ip": ["169.254.169.254"]}, {"ip": ["fe80::1"]}, {"ip": ["10.96.0.1"]},
	] {
		passed := names.passed with input as _names(sans)
			with data.csr.api_server as {"dns": ["API.example.com"], "cidrs": ["10.96.0.0/12"]}
		not "api-server-names" in passed
		failed := names.failed with input as _names(sans)
			with data.csr.api_server as {"dns": ["API.example.com"], "cidrs": ["10.96.0.0/12"]}
		"api-server-names" in failed
	}
}

# An error in the data permits nothing, and denies nothing for good.
test_a_range_that_is_none_permits_nothing if {
	every cidr in ["10.0.0.0", "", null, 10, "all"] {
		not "names" in names.passed with input as _names({"ip": ["10.1.2.3"]}) with data.csr.cidrs as [cidr]
		not "api-server-names" in names.passed with input as example_test.serving
			with data.csr.api_server as {"cidrs": [cidr]}
		not "api-server-names" in names.failed with input as example_test.serving
			with data.csr.api_server as {"cidrs": [cidr]}
	}
}

# A list of what is refused isn't shorter for a mistake in it.
test_reservations_that_can_t_be_read_let_nobody_through if {
	every reserved in [
		null, false, [], "api", {"cidr": ["10.96.0.0/12"]}, {"cidrs": "10.96.0.0/12"}, {"dns": "api"}, {"dns": null},
	] {
		not "api-server-names" in names.passed with input as example_test.serving
			with data.csr.api_server as reserved
		not "api-server-names" in names.failed with input as example_test.serving
			with data.csr.api_server as reserved
	}
}

_names(sans) := object.union(example_test.serving, {"request": {"sans": sans}})
