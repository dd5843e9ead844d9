# What the hostile requests are decided by. It is generous about `ns`: between an attacker and a
# shell there, nothing stands but the reading of the request.
package kubelet.authz

decision := {"allow": count(allow) > 0, "rule": min(allow | {"none"})}

allow contains "ns" if {
	input.namespace == "ns"
	input.endpoint in {"exec", "attach", "portForward", "containerLogs"}
}

allow contains "monitoring" if input.endpoint in {"metrics", "stats", "healthz", "pods"}
