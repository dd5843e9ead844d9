# A policy as kubelet-tls-proxy takes it: it knows methods and paths, and what is not denied is
# allowed.
package kubelet.policy

import rego.v1

deny if {
	input.method == "POST"
	startswith(input.path, "/exec")
}

deny if {
	input.method == "POST"
	startswith(input.path, "/attach")
}

deny if {
	input.method == "POST"
	startswith(input.path, "/portForward")
}
