# METADATA
# title: Limits
# description: |
#   How strong a key is, how long a certificate may be valid, how old a request, and how many a node may
#   have asked for. Each limit can be set in `data.csr.limits`.
package csr.approval.limits

# METADATA
# description: The names of the checks that the request passes.
passed contains "subject" if {
	count(input.request.subject.attributes) == 2
	{attribute.type | some attribute in input.request.subject.attributes} == {"CN", "O"}
}

# Subject alternative name, key usage, extended key usage, subject key identifier, basic constraints.
passed contains "extensions" if {
	input.request.certificate_authority == false
	input.request.attributes == []
	is_array(input.request.extensions)
	{e.oid | some e in input.request.extensions} - {
		"2.5.29.17", "2.5.29.15", "2.5.29.37", "2.5.29.14", "2.5.29.19",
	} == set()
}

passed contains "key" if input.request.key.type in {"ECDSA", "Ed25519"}

passed contains "key" if {
	input.request.key.type == "RSA"
	input.request.key.bits >= 2048
}

# Without a wish of its own, the signer decides.
passed contains "expiration" if input.expiration_seconds == null

passed contains "expiration" if {
	is_number(input.expiration_seconds)
	input.expiration_seconds <= limit("max_expiration_seconds")
}

passed contains "age" if {
	is_number(input.age_seconds)
	input.age_seconds <= limit("max_age_seconds")
	input.age_seconds >= -300
}

passed contains "rate" if {
	input.existing.approved_last_hour < limit("approvals_per_hour")
	input.existing.pending < limit("pending")
}

# Many nodes ask with one bootstrap token: what one has asked says nothing of the next.
passed contains "rate" if {
	input.signer == "kubernetes.io/kube-apiserver-client-kubelet"
	input.username != input.request.subject.common_name
}

passed contains "node" if input.node.exists == true

# METADATA
# description: The names of the checks that the request plainly fails.
failed contains "expiration" if {
	is_number(input.expiration_seconds)
	input.expiration_seconds > limit("max_expiration_seconds")
}

# METADATA
# description: A limit, as the data has it or as it usually is.
limit(name) := data.csr.limits[name] if {
	is_number(data.csr.limits[name])
} else := usual[name]

# METADATA
# description: The usual limits.
usual := {
	# 367 days.
	"max_expiration_seconds": 31708800,
	# Kubelets wait for 15 minutes, then ask again.
	"max_age_seconds": 3600,
	# A kubelet rotates every few weeks, and asks at each start if it has no certificate.
	"approvals_per_hour": 10,
	# Of the last hour: older ones are those of a kubelet that waited for an approver.
	"pending": 20,
}
