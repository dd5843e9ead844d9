# METADATA
# title: Preset observe
# description: |
#   Health, metrics and statistics, which name pods and containers but show no content of them. Only
#   by GET: `DELETE /metrics/slis` resets what it names.
package kubelet.authz.presets.observe

# METADATA
# description: Whether the preset covers the request.
allow if {
	input.method == "GET"
	input.endpoint in {"healthz", "metrics", "stats"}
}
