# METADATA
# title: Preset closed
# description: |
#   Allows nothing, and takes back what the peer's other presets allow: one word shuts a peer out,
#   and removing it gives back what the peer had.
package kubelet.authz.presets.closed

# METADATA
# description: Whether the calling peer is shut out.
default applies := false

applies if "closed" in data.kubelet.authz.peers.presets
