# Runs az with its arguments. Debian 12 pairs az 2.45 with a newer azure-mgmt-authorization, whose operations keep their
# configuration as _config: every `az role` command stops there, before it asks any server. This gives it the old name back,
# and changes nothing else.
import runpy
import sys

from azure.mgmt.authorization.v2018_01_01_preview.operations import RoleDefinitionsOperations
from azure.mgmt.authorization.v2020_04_01_preview.operations import RoleAssignmentsOperations

for operations in (RoleAssignmentsOperations, RoleDefinitionsOperations):
    if not hasattr(operations, "config"):
        operations.config = property(lambda self: self._config)

sys.argv[0] = "az"
runpy.run_module("azure.cli", run_name="__main__", alter_sys=False)
