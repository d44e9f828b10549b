"""The `Cluster` port on a real Kubernetes cluster: raw JSON in and out, values of the domain on the other side."""
