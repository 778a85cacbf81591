"""The workflows: one table of them, the files that it becomes, and running them in their order."""
