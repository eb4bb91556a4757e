# What Terraform's azurerm provider makes of a server: e2e/terraform/run applies, plans again, updates, imports and destroys it.
terraform {
  required_providers {
    azurerm = {
      source = "hashicorp/azurerm"
    }
  }
}

provider "azurerm" {
  features {
    key_vault {
      purge_soft_delete_on_destroy = true
    }
  }
}

data "azurerm_client_config" "me" {}

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

resource "azurerm_key_vault" "v" {
  name                       = "tfsafe"
  resource_group_name        = azurerm_resource_group.g.name
  location                   = azurerm_resource_group.g.location
  tenant_id                  = data.azurerm_client_config.me.tenant_id
  sku_name                   = "standard"
  rbac_authorization_enabled = false
  soft_delete_retention_days = 7
}

resource "azurerm_key_vault_access_policy" "me" {
  key_vault_id    = azurerm_key_vault.v.id
  tenant_id       = data.azurerm_client_config.me.tenant_id
  object_id       = data.azurerm_client_config.me.object_id
  key_permissions = ["Create", "Delete", "Get", "Purge", "Recover", "Update", "List", "GetRotationPolicy"]
}

resource "azurerm_key_vault_key" "k" {
  depends_on   = [azurerm_key_vault_access_policy.me]
  name         = "root"
  key_vault_id = azurerm_key_vault.v.id
  key_type     = "RSA"
  key_size     = 2048
  key_opts     = ["decrypt", "encrypt", "unwrapKey", "wrapKey"]
}

resource "azurerm_disk_encryption_set" "s" {
  name                = "set"
  resource_group_name = azurerm_resource_group.g.name
  location            = azurerm_resource_group.g.location
  key_vault_key_id    = azurerm_key_vault_key.k.id
  identity {
    type = "SystemAssigned"
  }
}

resource "azurerm_key_vault_access_policy" "set" {
  key_vault_id    = azurerm_key_vault.v.id
  tenant_id       = azurerm_disk_encryption_set.s.identity[0].tenant_id
  object_id       = azurerm_disk_encryption_set.s.identity[0].principal_id
  key_permissions = ["Get", "WrapKey", "UnwrapKey"]
}

resource "azurerm_managed_disk" "sealed" {
  depends_on             = [azurerm_key_vault_access_policy.set]
  name                   = "sealed"
  resource_group_name    = azurerm_resource_group.g.name
  location               = azurerm_resource_group.g.location
  storage_account_type   = "Premium_LRS"
  create_option          = "Empty"
  disk_size_gb           = 4
  disk_encryption_set_id = azurerm_disk_encryption_set.s.id
}

output "restored_id" {
  value = azurerm_managed_disk.restored.id
}
