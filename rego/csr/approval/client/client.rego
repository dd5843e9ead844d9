# METADATA
# title: Client certificates
# description: |
#   What kube-controller-manager asks of kubelets' client certificates, which it approves unless it is
#   told not to: the rules of kubernetes.io/kube-apiserver-client-kubelet, and a SubjectAccessReview for
#   a node that renews its own certificate, or for whoever may ask for that of any node.
package csr.approval.client

# METADATA
# description: The names of the checks that the request passes.
passed contains "client-usages" if {
	{usage | some usage in input.usages} - {"key encipherment"} == {"digital signature", "client auth"}
}

passed contains "no-names" if {
	input.request.sans == {"dns": [], "ip": [], "email": [], "uri": [], "other": []}
}

passed contains "client-access" if _renews

passed contains "client-access" if _bootstraps

# METADATA
# description: What an approval is based on, as a sentence.
reason := "The node renews its own client certificate." if {
	_renews
} else := "Who asks may ask for the client certificate of any node."

_renews if {
	input.request.subject.common_name == input.username
	input.access.selfnodeclient == true
}

_bootstraps if input.access.nodeclient == true
