"""What the tests of ECS clients share: a cluster that is there, clients of its members, and a check of every raw answer."""
