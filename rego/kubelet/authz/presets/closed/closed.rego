# METADATA
# title: Preset closed
# description: |
#   Allows nothing, and takes back what the peer's other presets allow: one word shuts a peer out,
#   and removing it gives back what the peer had.
package kubelet.authz.presets.closed

# METADATA
# description: Whether these presets stay in force, because `closed` isn't among them.
spares(presets) if count({"closed"} & presets) == 0
