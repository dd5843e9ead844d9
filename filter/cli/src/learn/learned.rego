# METADATA
# title: Preset learned
# description: |
#   Exactly the requests in `data.kubelet.learned`, each for the caller it is listed under. A request
#   has to equal its entry in all that the entry's endpoint asks for; an entry that leaves one of
#   these out, or misspells it, grants nothing.
package kubelet.authz.presets.learned

# METADATA
# description: The grants that cover the request.
allow contains concat("/", ["learned", input.endpoint]) if {
	some caller in data.kubelet.learned
	caller.common_name == input.peer.common_name
	caller.organizations == input.peer.organizations
	some entry in caller.allow
	entry.endpoint == input.endpoint
	entry.method == input.method
	_covers(entry)
}

_covers(entry) if {
	input.endpoint == "exec"
	_is_of_the_container(entry)
	entry.exec == object.remove(input.exec, ["env"])
	_brings_no_environment
}

_covers(entry) if {
	input.endpoint == "attach"
	_is_of_the_container(entry)
	entry.attach == input.attach
}

_covers(entry) if {
	input.endpoint == "run"
	_is_of_the_container(entry)
	entry.run == input.run
}

# Ports that travel inside the stream can't be seen: then it is all ports of the pod.
_covers(entry) if {
	input.endpoint == "portForward"
	_is_of_the_pod(entry)
	entry.port_forward == input.port_forward
}

_covers(entry) if {
	input.endpoint in {"containerLogs", "checkpoint"}
	_is_of_the_container(entry)
	entry.query == input.query
}

# Any lines, where an entry has `logs` in place of `query`.
_covers(entry) if {
	input.endpoint == "containerLogs"
	_is_of_the_container(entry)
	entry.logs == {"follow": input.logs.follow, "previous": input.logs.previous}
}

_covers(entry) if {
	input.endpoint in {
		"pods", "runningPods", "nodeLogs", "metrics", "stats", "healthz",
		"configz", "flagz", "statusz", "debug",
	}
	entry.path == input.path
	entry.query == input.query
}

_is_of_the_container(entry) if {
	_is_of_the_pod(entry)
	entry.container == input.container
}

_is_of_the_pod(entry) if {
	entry.namespace == input.namespace
	_names_the_pod(entry)
}

_names_the_pod(entry) if input.pod in entry.pods

# The dash keeps `web-` away from `webhook-0`.
_names_the_pod(entry) if {
	some prefix in entry.pod_prefixes
	endswith(prefix, "-")
	startswith(input.pod, prefix)
}

# Variables such as LD_PRELOAD turn an exact command into any other. Kubernetes 1.37 adds one to
# every exec, for the audit log.
_brings_no_environment if {
	every name, _ in input.exec.env {
		name == "KUBERNETES_EXEC_AUDIT_ID"
	}
}
