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
	_brings_no_environment
	some entry in data.kubelet.operate
	_covers_container(entry)
	some permitted in entry.exec
	permitted.command == input.exec.command
	_within(input.exec.stdin, permitted, "stdin")
	_within(input.exec.tty, permitted, "tty")
}

allow contains "operate/attach" if {
	input.endpoint == "attach"
	some entry in data.kubelet.operate
	_covers_container(entry)
	_within(input.attach.stdin, entry.attach, "stdin")
	_within(input.attach.tty, entry.attach, "tty")
}

# The ports travel inside the stream: who may forward one port of a pod may forward them all.
allow contains "operate/port-forward" if {
	input.endpoint == "portForward"
	some entry in data.kubelet.operate
	_covers_pod(entry)
	entry.port_forward == true
}

# Variables such as LD_PRELOAD turn an exact command into any other. Kubernetes 1.37 adds one to
# every exec, for the audit log.
_brings_no_environment if object.remove(input.exec.env, ["KUBERNETES_EXEC_AUDIT_ID"]) == {}

_covers_container(entry) if {
	_covers_pod(entry)
	some container in entry.containers
	container in {"*", input.container}
}

_covers_pod(entry) if {
	input.namespace in entry.namespaces
	input.pod in entry.pods
}

# Pods of a Deployment have random names. The dash keeps `web-` away from `webhook-0`.
_covers_pod(entry) if {
	input.namespace in entry.namespaces
	some prefix in entry.pod_prefixes
	endswith(prefix, "-")
	startswith(input.pod, prefix)
}

# Whether the caller can go without the option, or has it granted.
_within(wanted, granted, option) if wanted in {false, object.get(granted, option, false)}
