"""The asyncio shell: joins the group, runs a pipeline per partition, commits, stops."""
