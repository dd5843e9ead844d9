package http.authz_test

import data.http.authz

_entries := [
	{
		"name": "web-reads-catalogue",
		"uri_san": "spiffe://cluster.local/ns/shop/sa/web",
		"methods": ["GET", "HEAD"],
		"under": ["api", "catalogue"],
	},
	{
		"name": "admin",
		"uri_san": "spiffe://cluster.local/ns/shop/sa/admin",
		"methods": ["GET", "POST"],
		"under": [],
	},
]

_web := {"authenticated": true, "uri_san": "spiffe://cluster.local/ns/shop/sa/web"}

_request := {
	"schema": "gatelet/http/v1",
	"method": "GET",
	"authority": "catalogue.shop.svc",
	"path": "/api/catalogue/7",
	"segments": ["api", "catalogue", "7"],
	"query": {},
	"headers": {},
	"peer": _web,
}

_denied := {"allow": false, "reason": "no peer entry allows it"}

test_nothing_is_denied if {
	authz.decision == _denied with input as {}
}

test_a_caller_reads_below_its_path if {
	every segments in [["api", "catalogue"], ["api", "catalogue", "7"]] {
		authz.decision == {"allow": true, "rule": "web-reads-catalogue"} with input as object.union(
			_request,
			{"segments": segments},
		)
			with data.http.peers as _entries
	}
}

test_every_method_of_an_entry_is_allowed if {
	every method in ["GET", "HEAD"] {
		authz.decision == {"allow": true, "rule": "web-reads-catalogue"} with input as object.union(
			_request,
			{"method": method},
		)
			with data.http.peers as _entries
	}
}

test_a_caller_reads_nothing_beside_its_path if {
	every segments in [[], ["api"], ["api", "catalogue2"], ["catalogue", "api"], ["v1", "api", "catalogue"], null] {
		authz.decision == _denied with input as object.union(_request, {"segments": segments})
			with data.http.peers as _entries
	}
}

test_another_method_is_denied if {
	every method in ["POST", "get", "DELETE", ""] {
		authz.decision == _denied with input as object.union(_request, {"method": method})
			with data.http.peers as _entries
	}
}

test_an_empty_path_covers_the_whole_tree if {
	authz.decision == {"allow": true, "rule": "admin"} with input as object.union(_request, {
		"method": "POST",
		"segments": ["settings"],
		"peer": {"uri_san": "spiffe://cluster.local/ns/shop/sa/admin"},
	})
		with data.http.peers as _entries
}

test_another_identity_is_denied if {
	every peer in [
		{"uri_san": "spiffe://cluster.local/ns/shop/sa/web2"},
		{"uri_san": "spiffe://cluster.local/ns/other/sa/web"},
		{"uri_san": "spiffe://cluster.local/ns/shop/sa/web/"},
		{"uri_san": "spiffe://cluster.local/ns/shop/sa/"},
		{"uri_san": "spiffe://cluster.local/ns/shop/sa/Web"},
		{"uri_san": "spiffe://elsewhere.invalid/ns/shop/sa/web"},
		{"uri_san": null},
		{"authenticated": false},
	] {
		authz.decision == _denied with input as object.union(_request, {"peer": peer}) with data.http.peers as _entries
	}
}

test_an_entry_without_spiffe_id_names_nobody if {
	every id in [null, "", "https://cluster.local/ns/shop/sa/web"] {
		authz.decision == _denied with input as object.union(_request, {"peer": {"uri_san": id}})
			with data.http.peers as [object.union(_entries[0], {"uri_san": id})]
	}
}

test_one_entry_lends_nothing_to_another if {
	orders := {"name": "web-orders", "methods": ["POST"], "under": ["api", "orders"]}
	entries := [_entries[0], object.union(_entries[0], orders)]
	every request in [
		{"method": "POST"},
		{"method": "GET", "segments": ["api", "orders"]},
		{"method": "POST", "segments": ["orders"]},
	] {
		authz.decision == _denied with input as object.union(_request, request) with data.http.peers as entries
	}
	authz.decision == {"allow": true, "rule": "web-orders"} with input as object.union(
		_request,
		{"method": "POST", "segments": ["api", "orders", "7"]},
	)
		with data.http.peers as entries
}

test_of_several_entries_the_first_name_is_on_record if {
	entries := [_entries[0], object.union(_entries[0], {"name": "all-of-web", "under": []})]
	authz.decision == {"allow": true, "rule": "all-of-web"} with input as _request with data.http.peers as entries
}

test_an_entry_that_lacks_something_covers_nothing if {
	every key in ["name", "uri_san", "methods", "under"] {
		authz.decision == _denied with input as _request
			with data.http.peers as [object.remove(_entries[0], [key])]
	}
	every wrong in [{"methods": "GET"}, {"under": "api"}, {"uri_san": ["spiffe://cluster.local/ns/shop/sa/web"]}] {
		authz.decision == _denied with input as _request with data.http.peers as [object.union(_entries[0], wrong)]
	}
}

test_an_empty_peer_list_denies_everybody if {
	authz.decision == _denied with input as _request with data.http.peers as []
}
