"""The whole house, as a user meets it: processes, HTTP and real flights."""
