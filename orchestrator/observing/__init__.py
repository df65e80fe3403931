"""What those who watch over the product see of it: metrics, traces, probes, and names in the logs."""
