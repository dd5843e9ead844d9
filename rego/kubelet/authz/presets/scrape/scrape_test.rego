package kubelet.authz.presets.scrape_test

import data.kubelet.authz.presets.scrape

_request := {
	"method": "GET",
	"endpoint": "metrics",
	"peer": {"authenticated": false, "bearer_token": true},
}

_all := ["healthz", "metrics", "stats"]

test_listed_endpoints_are_scraped_with_a_token if {
	every endpoint in _all {
		scrape.allow with input as object.union(_request, {"endpoint": endpoint})
			with data.kubelet.scrape.endpoints as [endpoint]
	}
}

test_endpoints_that_are_not_listed_are_not_scraped if {
	every endpoints in [[], ["healthz", "stats"], ["Metrics"], ["*"], "metrics", null] {
		not scrape.allow with input as _request with data.kubelet.scrape.endpoints as endpoints
	}
}

test_without_a_list_nothing_is_scraped if {
	not scrape.allow with input as _request
}

test_without_a_token_nothing_is_scraped if {
	every claim in [{"bearer_token": false}, {"bearer_token": null}, {"bearer_token": "true"}] {
		not scrape.allow with input as object.union(_request, {"peer": claim})
			with data.kubelet.scrape.endpoints as _all
	}
}

test_a_certificate_is_pinned_or_gets_nothing if {
	every claim in [{"authenticated": true}, {"authenticated": null}, {"authenticated": "false"}] {
		not scrape.allow with input as object.union(_request, {"peer": claim})
			with data.kubelet.scrape.endpoints as _all
	}
}

test_nothing_is_reset_with_a_token if {
	not scrape.allow with input as object.union(_request, {"method": "DELETE"})
		with data.kubelet.scrape.endpoints as _all
}

test_what_shows_more_is_not_scraped_even_if_it_is_listed if {
	every endpoint in {"pods", "runningPods", "configz", "debug", "containerLogs", "nodeLogs", "exec", "run"} {
		not scrape.allow with input as object.union(_request, {"endpoint": endpoint})
			with data.kubelet.scrape.endpoints as [endpoint]
	}
}
