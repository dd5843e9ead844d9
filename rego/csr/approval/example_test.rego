# The request of a kubelet, for the tests beside.
package csr.approval.example_test

serving := {
	"schema": "gatelet/csr/v1",
	"name": "csr-x2x8z",
	"age_seconds": 3,
	"signer": "kubernetes.io/kubelet-serving",
	"username": "system:node:worker-1",
	"uid": "",
	"groups": ["system:nodes", "system:authenticated"],
	"extra": {},
	"usages": ["digital signature", "server auth"],
	"expiration_seconds": null,
	"malformed": null,
	"request": {
		"subject": {
			"attributes": [{"type": "O", "value": "system:nodes"}, {"type": "CN", "value": "system:node:worker-1"}],
			"common_name": "system:node:worker-1",
			"organizations": ["system:nodes"],
		},
		"sans": {"dns": ["worker-1"], "ip": ["10.0.0.11", "fd00::11"], "email": [], "uri": [], "other": []},
		"key": {
			"type": "ECDSA",
			"bits": 256,
			"sha256": "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
		},
		"extensions": [{"oid": "2.5.29.17", "critical": false}],
		"certificate_authority": false,
		"attributes": [],
	},
	"node": {
		"name": "worker-1", "exists": true, "age_seconds": 60, "provider_id": null, "labels": {},
		"dns": ["worker-1"], "ip": ["10.0.0.11", "fd00::11"],
	},
	"serving": null,
	"access": {"certificatesigningrequests": true},
	"existing": {"pending": 0, "approved": 1, "denied": 0, "failed": 0, "approved_last_hour": 1},
}

client := object.union(serving, {
	"signer": "kubernetes.io/kube-apiserver-client-kubelet",
	"usages": ["digital signature", "client auth"],
	"request": {"extensions": [], "sans": {"dns": [], "ip": []}},
	"access": {"selfnodeclient": true, "nodeclient": false},
})

entry := {"dns": ["worker-1"], "ip": ["10.0.0.11", "fd00::11"]}
