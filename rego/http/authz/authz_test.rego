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

test_an_empty_peer_list_denies_everybody if {
	authz.decision == _denied with input as _request with data.http.peers as []
}
