"""The kubelet of this node, asked over its sockets."""
