# METADATA
# title: Preset scrape
# description: |
#   Health, metrics and statistics for whoever brings a bearer token and no certificate, as
#   metrics-server and Prometheus do. The kubelet checks the token, and has the control plane's word
#   for it. No peer lists this preset: `data.kubelet.scrape.endpoints` names the endpoints, and
#   without it there are none.
package kubelet.authz.presets.scrape

# METADATA
# description: Whether the preset covers the request.
allow if {
	input.peer.authenticated == false
	input.peer.bearer_token == true
	input.method == "GET"
	input.endpoint in {"healthz", "metrics", "stats"}
	input.endpoint in data.kubelet.scrape.endpoints
}
