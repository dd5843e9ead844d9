package kubelet.authz.presets.observe_test

import data.kubelet.authz.presets.observe

test_health_metrics_and_statistics_are_observed if {
	every endpoint in {"healthz", "metrics", "stats"} {
		observe.allow == {"observe"} with input.endpoint as endpoint
	}
}

test_what_shows_more_is_not_observed if {
	every endpoint in {"pods", "runningPods", "configz", "flagz", "statusz", "debug", "containerLogs", "nodeLogs"} {
		observe.allow == set() with input.endpoint as endpoint
	}
}
