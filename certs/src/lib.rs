//! Every certificate of a cluster like kubeadm's.
