# What Terraform's azurerm provider makes of a server: e2e/terraform/run applies, plans again, updates, imports and destroys it.
terraform {
  required_providers {
    azurerm = {
      source = "hashicorp/azurerm"
    }
  }
}

provider "azurerm" {
  features {}
}

variable "tag" {
  type    = string
  default = "first"
}

variable "size" {
  type    = number
  default = 4
}

resource "azurerm_resource_group" "g" {
  name     = "terraform"
  location = "westus2"
  tags     = { made = var.tag }
}

resource "azurerm_managed_disk" "data" {
  name                 = "data"
  resource_group_name  = azurerm_resource_group.g.name
  location             = azurerm_resource_group.g.location
  storage_account_type = "Premium_LRS"
  create_option        = "Empty"
  disk_size_gb         = var.size
  tags                 = { made = var.tag }
}

resource "azurerm_snapshot" "s" {
  name                = "s"
  resource_group_name = azurerm_resource_group.g.name
  location            = azurerm_resource_group.g.location
  create_option       = "Copy"
  source_uri          = azurerm_managed_disk.data.id
  incremental_enabled = true
}

resource "azurerm_managed_disk" "restored" {
  name                 = "restored"
  resource_group_name  = azurerm_resource_group.g.name
  location             = azurerm_resource_group.g.location
  storage_account_type = "Standard_LRS"
  create_option        = "Copy"
  source_resource_id   = azurerm_snapshot.s.id
}

resource "azurerm_disk_access" "door" {
  name                = "door"
  resource_group_name = azurerm_resource_group.g.name
  location            = azurerm_resource_group.g.location
}

output "restored_id" {
  value = azurerm_managed_disk.restored.id
}
