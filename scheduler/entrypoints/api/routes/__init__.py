"""One file per noun. A route reads the request, asks `Commands` or `Views`, and renders the answer."""
