# What a person writes who moves from ECS: nothing here is Seawall's but the provider's endpoints.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

variable "endpoint" {
  description = "A member's address."
  type        = string
}

variable "name" {
  description = "Of the service and the family."
  type        = string
}

variable "image" {
  type = string
}

variable "command" {
  type = list(string)
}

variable "desired_count" {
  type    = number
  default = 2
}

provider "aws" {
  region     = "us-local-1"
  access_key = "anyone"
  secret_key = "anything"

  # The provider knows Amazon's regions only, and would ask the machine's own address for keys. It may ask who it is: the
  # port answers that.
  skip_region_validation  = true
  skip_metadata_api_check = true

  endpoints {
    ecs = var.endpoint
    sts = var.endpoint
  }

  default_tags {
    tags = {
      made-by = "terraform"
    }
  }
}

data "aws_caller_identity" "me" {}

data "aws_ecs_cluster" "default" {
  cluster_name = "default"
}

resource "aws_ecs_task_definition" "web" {
  family                   = var.name
  requires_compatibilities = ["EC2"]
  network_mode             = "bridge"

  container_definitions = jsonencode([
    {
      name      = "web"
      image     = var.image
      command   = var.command
      essential = true
      memory    = 32
      environment = [
        { name = "ZONE", value = "any" },
        { name = "A", value = "1" },
      ]
      portMappings = [{ containerPort = 8080 }]
    },
  ])

  tags = {
    part = "web"
  }
}

resource "aws_ecs_service" "web" {
  name                  = var.name
  cluster               = data.aws_ecs_cluster.default.arn
  task_definition       = aws_ecs_task_definition.web.arn
  desired_count         = var.desired_count
  launch_type           = "EC2"
  wait_for_steady_state = true

  deployment_minimum_healthy_percent = 50
  deployment_maximum_percent         = 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  ordered_placement_strategy {
    type  = "spread"
    field = "attribute:ecs.availability-zone"
  }

  ordered_placement_strategy {
    type  = "spread"
    field = "instanceId"
  }

  timeouts {
    create = "2m"
    update = "2m"
    delete = "2m"
  }
}

output "account" {
  value = data.aws_caller_identity.me.account_id
}
