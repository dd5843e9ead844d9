package kubelet.policy

import rego.v1

# Nobody gets a shell, a console or a tunnel from the control plane.
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
