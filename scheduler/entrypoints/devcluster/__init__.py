"""A real Kubernetes control plane on loopback whose nodes and pods are simulated.

etcd, kube-apiserver, kube-controller-manager and kube-scheduler are the upstream programs, with their own
certificates and RBAC on. `allot dev cluster` and the tests' `control_plane` fixture start the same thing.
"""
