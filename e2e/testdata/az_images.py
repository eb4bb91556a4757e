# Runs az with its arguments. Debian 12 pairs az 2.45 with an azure-mgmt-compute that ends at api-version 2022-08-01, while az asks it for 2022-11-01 of
# images and virtual machines: every `az image` and `az vm` command stops there, before it asks any server. This has az ask for 2022-08-01, and
# changes nothing else.
import runpy
import sys

from azure.cli.core.profiles import ResourceType
from azure.cli.core.profiles._shared import AZURE_API_PROFILES

AZURE_API_PROFILES["latest"][ResourceType.MGMT_COMPUTE].profile[None] = "2022-08-01"

sys.argv[0] = "az"
runpy.run_module("azure.cli", run_name="__main__", alter_sys=False)
