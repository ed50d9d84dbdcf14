# A cluster with capacity of its own.

resource "aws_ecs_cluster" "extra" {
  name = "${var.name}-extra"

  setting {
    name  = "containerInsights"
    value = "disabled"
  }
}

resource "aws_ecs_capacity_provider" "machines" {
  name = "${var.name}-machines"

  auto_scaling_group_provider {
    auto_scaling_group_arn = "arn:aws:autoscaling:us-local-1:000000000000:autoScalingGroup:00000000-0000-0000-0000-000000000000:autoScalingGroupName/machines"
  }
}

resource "aws_ecs_cluster_capacity_providers" "extra" {
  cluster_name       = aws_ecs_cluster.extra.name
  capacity_providers = [aws_ecs_capacity_provider.machines.name]

  default_capacity_provider_strategy {
    base              = 1
    weight            = 100
    capacity_provider = aws_ecs_capacity_provider.machines.name
  }
}
