# METADATA
# title: Preset operate
# description: |
#   Exec of exact commands, attach and port-forward, each in named namespaces and pods, as the
#   entries of `data.kubelet.operate` grant them. What an entry doesn't grant stays denied,
#   standard input and terminals included. Pod names come from the control plane, so it is the
#   exact command that limits what an exec can do.
package kubelet.authz.presets.operate

# METADATA
# description: The grants that cover the request.
allow contains "operate/exec" if {
	input.endpoint == "exec"
	some entry in data.kubelet.operate
	input.namespace in entry.namespaces
	_covers_pod(entry)
	_covers_container(entry)
	some permitted in entry.exec
	permitted.command == input.exec.command
	input.exec.stdin in {false, object.get(permitted, "stdin", false)}
	input.exec.tty in {false, object.get(permitted, "tty", false)}
	_brings_no_environment
}

allow contains "operate/attach" if {
	input.endpoint == "attach"
	some entry in data.kubelet.operate
	input.namespace in entry.namespaces
	_covers_pod(entry)
	_covers_container(entry)
	input.attach.stdin in {false, object.get(entry.attach, "stdin", false)}
	input.attach.tty in {false, object.get(entry.attach, "tty", false)}
}

# The ports travel inside the stream: who may forward one port of a pod may forward them all.
allow contains "operate/port-forward" if {
	input.endpoint == "portForward"
	some entry in data.kubelet.operate
	input.namespace in entry.namespaces
	_covers_pod(entry)
	entry.port_forward == true
}

_covers_pod(entry) if input.pod in entry.pods

# Pods of a Deployment have random names. The dash keeps `web-` away from `webhook-0`.
_covers_pod(entry) if {
	some prefix in entry.pod_prefixes
	endswith(prefix, "-")
	startswith(input.pod, prefix)
}

_covers_container(entry) if input.container in entry.containers

_covers_container(entry) if "*" in entry.containers

# Variables such as LD_PRELOAD turn an exact command into any other. Kubernetes 1.37 adds one to
# every exec, for the audit log.
_brings_no_environment if {
	every name, _ in input.exec.env {
		name == "KUBERNETES_EXEC_AUDIT_ID"
	}
}
