"""How campaigns are computed: suites, campaigns, their units, and the processes and machines that share the work."""
