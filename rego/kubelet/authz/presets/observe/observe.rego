# METADATA
# title: Preset observe
# description: Health, metrics and statistics, which name pods and containers but show no content of them.
package kubelet.authz.presets.observe

# METADATA
# description: The grants that cover the request.
allow contains "observe" if input.endpoint in {"healthz", "metrics", "stats"}
