# METADATA
# title: Authorization between services
# description: |
#   Allows the callers in `data.http.peers`, known by the SPIFFE ID of their certificate, the methods
#   and the part of the path tree that their entry names.
package http.authz

# METADATA
# description: The answer to one request. `reason` is for the log, callers never see it.
# entrypoint: true
default decision := {"allow": false, "reason": "no peer entry allows it"}

decision := {"allow": true, "rule": min(allow)} if allow != set()

# METADATA
# description: The names of all entries that cover the request.
allow contains entry.name if {
	input.peer.authenticated == true
	some entry in data.http.peers
	startswith(entry.uri_san, "spiffe://")
	entry.uri_san == input.peer.uri_san
	input.method in entry.methods
	array.slice(input.segments, 0, count(entry.under)) == entry.under
}
