package kubelet.authz.presets.logs_test

import data.kubelet.authz.presets.logs

_request := {"endpoint": "containerLogs", "namespace": "shop", "pod": "web-0", "container": "app"}

test_logs_of_a_listed_namespace_are_readable if {
	logs.allow with input as _request with data.kubelet.logs.namespaces as ["default", "shop"]
}

test_a_star_stands_for_every_namespace if {
	logs.allow with input as _request with data.kubelet.logs.namespaces as ["*"]
}

test_logs_of_another_namespace_are_not_readable if {
	every namespaces in [[], ["default"], ["sho"], ["shop2"], ["shop*"], "shop", null] {
		not logs.allow with input as _request with data.kubelet.logs.namespaces as namespaces
	}
}

test_without_namespaces_no_logs_are_readable if {
	not logs.allow with input as _request
}

test_other_endpoints_are_no_logs if {
	every endpoint in {"nodeLogs", "exec", "attach", "checkpoint"} {
		not logs.allow with input as object.union(_request, {"endpoint": endpoint})
			with data.kubelet.logs.namespaces as ["*"]
	}
}
