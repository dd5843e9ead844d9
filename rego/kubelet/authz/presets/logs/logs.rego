# METADATA
# title: Preset logs
# description: |
#   Container logs of the namespaces in `data.kubelet.logs.namespaces`; `*` stands for all of them.
package kubelet.authz.presets.logs

# METADATA
# description: Whether the preset covers the request.
allow if {
	input.endpoint == "containerLogs"
	input.namespace in data.kubelet.logs.namespaces
}

allow if {
	input.endpoint == "containerLogs"
	"*" in data.kubelet.logs.namespaces
}
