"""The figures of a certificate: each looks at a solution without the road that made it."""
