# METADATA
# title: Findings in the data
# description: |
#   What in the data is probably not meant. Nothing here takes part in a decision: whatever can't
#   be read grants nothing. `gatelet check` prints the findings, so that a mistake shows before a
#   denial does.
package kubelet.authz.lint

# METADATA
# description: One sentence for each finding.
# entrypoint: true
findings contains finding if {
	count(_peers) == 0
	_scraped == []
	finding := "`data.kubelet.peers` pins nobody, so the policy denies everybody; rego/examples shows how to"
}

findings contains finding if {
	some i, entry in _peers
	some key in {"common_name", "organization", "presets"} - object.keys(entry)
	finding := sprintf("`data.kubelet.peers[%d]` has no `%s` and pins nobody", [i, key])
}

findings contains finding if {
	some i, entry in _peers
	some key in object.keys(entry) - {"common_name", "organization", "certificate_sha256", "presets"}
	finding := sprintf("`data.kubelet.peers[%d]` has the unknown key `%s` and pins nobody", [i, key])
}

findings contains finding if {
	some i, entry in _peers
	"certificate_sha256" in object.keys(entry)
	not _is_digest(entry.certificate_sha256)
	finding := sprintf("`data.kubelet.peers[%d].certificate_sha256` is no SHA-256, so the entry pins nobody", [i])
}

findings contains finding if {
	some i, entry in _peers
	"presets" in object.keys(entry)
	not is_array(entry.presets)
	finding := sprintf("`data.kubelet.peers[%d].presets` is no list, so the entry grants nothing", [i])
}

findings contains finding if {
	some i, entry in _peers
	some preset in _listed_by(entry)
	not preset in _presets
	known := concat(", ", sort(_presets))
	finding := sprintf("`data.kubelet.peers[%d]` names the preset `%v`; there are %s", [i, preset, known])
}

findings contains finding if {
	"logs" in _listed
	not data.kubelet.logs.namespaces
	finding := "the preset `logs` grants nothing without `data.kubelet.logs.namespaces`; `[\"*\"]` stands for all"
}

findings contains finding if {
	"operate" in _listed
	count(_operate) == 0
	finding := "the preset `operate` grants nothing without entries in `data.kubelet.operate`"
}

findings contains finding if {
	not is_array(_scraped)
	finding := "`data.kubelet.scrape.endpoints` is no list, so it grants nothing"
}

findings contains finding if {
	is_array(_scraped)
	some endpoint in _scraped
	not endpoint in {"healthz", "metrics", "stats"}
	finding := sprintf("`data.kubelet.scrape.endpoints` names `%v`; there are healthz, metrics, stats", [endpoint])
}

findings contains finding if {
	some i, entry in _operate
	known := {"namespaces", "pods", "pod_prefixes", "containers", "exec", "attach", "port_forward"}
	some key in object.keys(entry) - known
	finding := sprintf("`data.kubelet.operate[%d]` has the unknown key `%s`", [i, key])
}

findings contains finding if {
	some i, entry in _operate
	some j, permitted in entry.exec
	some key in object.keys(permitted) - {"command", "stdin", "tty"}
	finding := sprintf("`data.kubelet.operate[%d].exec[%d]` has the unknown key `%s`", [i, j, key])
}

findings contains finding if {
	some i, entry in _operate
	some prefix in entry.pod_prefixes
	not endswith(prefix, "-")
	finding := sprintf("`data.kubelet.operate[%d]`: the prefix `%v` covers nothing without a `-` at its end", [i, prefix])
}

findings contains finding if {
	not is_array(_denied_certificates)
	finding := "`data.kubelet.denied_certificates` is no list, so the policy denies everybody"
}

findings contains finding if {
	is_array(_denied_certificates)
	some i, digest in _denied_certificates
	not _is_digest(digest)
	finding := sprintf("`data.kubelet.denied_certificates[%d]` is no SHA-256, so the policy denies everybody", [i])
}

_presets := {"closed", "logs", "observe", "operate"}

_listed contains preset if {
	some entry in _peers
	some preset in _listed_by(entry)
}

_listed_by(entry) := entry.presets if is_array(entry.presets)

default _peers := []

_peers := data.kubelet.peers if is_array(data.kubelet.peers)

default _operate := []

_operate := data.kubelet.operate if is_array(data.kubelet.operate)

default _scraped := []

_scraped := data.kubelet.scrape.endpoints

default _denied_certificates := []

_denied_certificates := data.kubelet.denied_certificates

_is_digest(text) if {
	digits := lower(replace(text, ":", ""))
	count(digits) == 64
	trim(digits, "0123456789abcdef") == ""
}
