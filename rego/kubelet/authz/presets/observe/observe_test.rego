package kubelet.authz.presets.observe_test

import data.kubelet.authz.presets.observe

test_health_metrics_and_statistics_are_observed if {
	every endpoint in {"healthz", "metrics", "stats"} {
		observe.allow with input as {"method": "GET", "endpoint": endpoint}
	}
}

test_nothing_is_reset if {
	not observe.allow with input as {"method": "DELETE", "endpoint": "metrics"}
}

test_what_shows_more_is_not_observed if {
	every endpoint in {"pods", "runningPods", "configz", "flagz", "statusz", "debug", "containerLogs", "nodeLogs"} {
		not observe.allow with input as {"method": "GET", "endpoint": endpoint}
	}
}
