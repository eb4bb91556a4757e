"""Prints what the installed Azure CLI would print.

Standard input: a JSON list of {"kind", "bodies", "list", "query", "format"}; the
bodies are as Azure Resource Manager answers them. Standard output: a JSON list of
texts, or of null where az refuses to make one. The format "update" asks for the body that an update would
send.
"""
import json
import sys
from collections import OrderedDict

import jmespath
from azure.cli.command_modules.resource.commands import transform_resource_group_list
from azure.cli.command_modules.vm._format import transform_disk_show_table_output
from azure.cli.core.commands import AzCliCommandInvoker
from azure.cli.core.commands.transform import _add_resource_group
from azure.mgmt.compute.v2022_03_02 import models as snapshots
from azure.mgmt.compute.v2022_07_02 import models as disks
from azure.mgmt.resource.resources.v2021_04_01 import models as groups
from knack.output import OutputProducer
from knack.util import CommandResultItem, todict

MODELS = {"disk": disks.Disk, "snapshot": snapshots.Snapshot, "group": groups.ResourceGroup}


def transformer(kind, is_list):
    if kind == "disk":
        return ("[]." if is_list else "") + transform_disk_show_table_output
    if kind == "group" and is_list:
        return transform_resource_group_list
    return None


def show(case):
    model = MODELS[case["kind"]]
    if case["format"] == "update":  # what an update without changes sends
        return json.dumps(model.deserialize(case["bodies"][0]).serialize())
    result = [todict(model.deserialize(b), AzCliCommandInvoker.remove_additional_prop_layer) for b in case["bodies"]]
    _add_resource_group(result)
    if not case["list"]:
        result = result[0]
    if case["query"]:
        try:
            result = jmespath.compile(case["query"]).search(result, jmespath.Options(OrderedDict))
        except jmespath.exceptions.JMESPathError:
            return None
    if result is None:
        return ""
    item = CommandResultItem(result, table_transformer=transformer(case["kind"], case["list"]),
                             is_query_active=bool(case["query"]))
    try:
        return OutputProducer._FORMAT_DICT[case["format"]](item)
    except Exception:  # az: "Table output unavailable."
        return None


json.dump([show(case) for case in json.load(sys.stdin)], sys.stdout)
