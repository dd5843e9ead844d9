# METADATA
# title: Kubernetes' own rules
# description: |
#   What the signer of kubernetes.io/kubelet-serving asks of a request before it signs, and that who
#   asks is the node in it.
package csr.approval.kubernetes

# METADATA
# description: The names of the checks that the request passes.
passed contains "malformed" if {
	input.malformed == null
	is_object(input.request)
}

passed contains "organization" if input.request.subject.organizations == ["system:nodes"]

passed contains "common-name" if {
	startswith(input.request.subject.common_name, "system:node:")
	input.request.subject.common_name == sprintf("system:node:%s", [input.node.name])
}

passed contains "username" if {
	input.username != ""
	input.request.subject.common_name == input.username
}

passed contains "groups" if "system:nodes" in input.groups

# An RSA key may encrypt keys as well, and needn't.
passed contains "usages" if {
	{usage | some usage in input.usages} - {"key encipherment"} == {"digital signature", "server auth"}
}

passed contains "names-present" if {
	count(input.request.sans.dns) + count(input.request.sans.ip) > 0
}

# As kubelet-rubber-stamp has it.
passed contains "both-kinds-of-names" if {
	count(input.request.sans.dns) > 0
	count(input.request.sans.ip) > 0
}

passed contains "name-kinds" if {
	input.request.sans.email == []
	input.request.sans.uri == []
	input.request.sans.other == []
}

# A SubjectAccessReview said so. Of several, all have to.
passed contains "access" if {
	count(input.access) > 0
	every _, allowed in input.access {
		allowed == true
	}
}
