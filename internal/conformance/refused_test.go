package conformance

import (
	"strings"
	"testing"
)

// refusals are bad requests, one a line: method, path, body, status and code. A path that begins with @ is below the
// subscription, with a slash below the group, any other below its Microsoft.Compute; ~ stands for the group's Microsoft.Compute inside bodies. An api-version is
// added to a path without a query. Lines that begin with # say what follows.
const refusals = `
# bodies that are none
PUT disks/x | [] | 400 InvalidRequestContent
PUT disks/x | "text" | 400 InvalidRequestContent
PUT disks/x | {"location":"westus" | 400 InvalidRequestContent
PUT disks/x | {"location":5} | 400 InvalidRequestContent
PUT disks/x | {"location":"westus","tags":[]} | 400 InvalidRequestContent
PUT disks/x | {"location":"westus","tags":{"a":1}} | 400 InvalidRequestContent
PUT disks/x | {"location":"westus","zones":"1"} | 400 InvalidRequestContent
PUT disks/x | {"location":"westus","sku":"Premium_LRS"} | 400 InvalidRequestContent
PUT disks/x | {"location":"westus","properties":[]} | 400 InvalidRequestContent
PUT disks/x | {"location":"westus","properties":{"diskSizeGB":"one"}} | 400 InvalidRequestContent
PUT disks/x | {"location":"westus","properties":{"diskSizeGB":"1.0"}} | 400 InvalidRequestContent
PUT disks/x | {"location":"westus","properties":{"burstingEnabled":"yes"}} | 400 InvalidRequestContent
PUT disks/x | {"location":"westus","diskSizeGB":1} | 400 InvalidRequestContent
PUT snapshots/x | {"location":"westus","incremental":true} | 400 InvalidRequestContent
PUT snapshots/x | {"location":"westus","sku":{"tier":"Standard"}} | 400 InvalidRequestContent
PUT diskAccesses/x | {"location":"westus","apiVersion":"2024-03-02"} | 400 InvalidRequestContent
PUT diskEncryptionSets/x | {"location":"westus","activeKey":{}} | 400 InvalidRequestContent
PATCH disks/d | {"networkAccessPolicy":"DenyAll"} | 400 InvalidRequestContent
PATCH disks/d | {"sku":{}} | 400 InvalidRequestContent
PATCH disks/d | {"tags":{"Env":"a","env":"b"}} | 400 InvalidRequestContent
PUT disks/x | {"location":"westus","properties":{"diskSizeGB":1.5}} | 400 InvalidRequestContent
PUT disks/x | {"location":"westus","properties":{"diskSizeGB":1e30}} | 400 InvalidRequestContent
PUT disks/x | {"location":"westus","properties":{"creationData":"Empty"}} | 400 InvalidRequestContent
PUT snapshots/x | {"location":"westus","properties":{"incremental":"yes"}} | 400 InvalidRequestContent
PATCH disks/d |  | 400 InvalidRequestContent
PATCH snapshots/s | null{} | 400 InvalidRequestContent
POST disks/d/beginGetAccess |  | 400 InvalidRequestContent
POST disks/d/beginGetAccess | {"access":1} | 400 InvalidRequestContent
POST disks/d/beginGetAccess | {"access":"Read","durationInSeconds":"a minute"} | 400 InvalidRequestContent
PUT diskAccesses/x |  | 400 InvalidRequestContent
PUT diskEncryptionSets/x | {"location":"westus","identity":"SystemAssigned"} | 400 InvalidRequestContent
PUT diskEncryptionSets/x | {"location":"westus","properties":{"activeKey":"k"}} | 400 InvalidRequestContent
# what is missing
PUT disks/x | {} | 400 LocationRequired
PUT snapshots/x | {"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}} | 400 LocationRequired
PUT disks/x | {"location":"westus"} | 400 InvalidParameter
PUT disks/x | {"location":"westus","properties":{}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","properties":{"creationData":{}}} | 400 InvalidParameter
PUT snapshots/x | {"location":"westus","properties":{"creationData":{"createOption":"Copy"}}} | 400 InvalidParameter
PUT snapshots/x | {"location":"westus","properties":{"creationData":{"createOption":"CopyStart"},"incremental":true}} | 400 InvalidParameter
PUT snapshots/x | {"location":"westus","properties":{"creationData":{"createOption":"Empty"}}} | 400 InvalidParameter
PUT disks/d | {"location":"westus"} | 400 InvalidParameter
PUT disks/d | {"properties":{"creationData":{"createOption":"Empty"}}} | 400 LocationRequired
PUT diskEncryptionSets/x | {"location":"westus","properties":{}} | 400 InvalidParameter
PUT diskEncryptionSets/x | {"location":"westus","properties":{"activeKey":{}}} | 400 InvalidParameter
PUT diskAccesses/x | {} | 400 LocationRequired
POST disks/d/beginGetAccess | {} | 400 InvalidParameter
POST snapshots/s/beginGetAccess | {"access":"Read"} | 400 InvalidParameter
# regions and zones
PUT disks/x | {"location":"atlantis","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}} | 400 LocationNotAvailableForResourceType
PUT snapshots/x | {"location":"atlantis","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}} | 400 LocationNotAvailableForResourceType
PUT diskAccesses/x | {"location":"atlantis"} | 400 LocationNotAvailableForResourceType
PUT diskEncryptionSets/x | {"location":"atlantis","properties":{"activeKey":{"keyUrl":"https://v/keys/k/1"}}} | 400 LocationNotAvailableForResourceType
PUT diskEncryptionSets/k | {"location":"eastus","properties":{"activeKey":{"keyUrl":"https://v/keys/k/1"}}} | 409 InvalidResourceLocation
PUT snapshots/s | {"location":"eastus","properties":{"creationData":{"createOption":"Copy","sourceResourceId":"~/disks/d"}}} | 409 InvalidResourceLocation
PATCH disks/d | {"location":"eastus"} | 409 InvalidResourceLocation
PATCH disks/d | {"location":"atlantis"} | 400 LocationNotAvailableForResourceType
PUT disks/x | {"location":"westus2","zones":["1"],"sku":{"name":"Premium_ZRS"},"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}} | 400 InvalidParameter
PUT disks/x | {"location":"westus2","zones":[""],"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}} | 400 InvalidAvailabilityZone
PUT disks/x | {"location":"westus2","zones":["0"],"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}} | 400 InvalidAvailabilityZone
PATCH disks/d | {"zones":["1"]} | 400 PropertyChangeNotAllowed
PUT disks/x | {"location":"westus","extendedLocation":{"name":"e","type":"EdgeZone"},"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}} | 400 InvalidParameter
PUT snapshots/x | {"location":"westus","extendedLocation":{"name":"e","type":"EdgeZone"},"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}} | 400 InvalidParameter
# storage types
PUT disks/x | {"location":"westus","sku":{"name":"Standard_GRS"},"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","sku":{"name":"Standard_ZRS"},"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","sku":{"name":"StandardSSD_ZRS"},"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}} | 400 InvalidParameter
PUT snapshots/x | {"location":"westus2","sku":{"name":"PremiumV2_LRS"},"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}} | 400 InvalidParameter
PUT snapshots/x | {"location":"westus2","sku":{"name":"UltraSSD_LRS"},"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}} | 400 InvalidParameter
PUT snapshots/x | {"location":"westus","sku":{"name":"Premium_LRS"},"properties":{"incremental":true,"creationData":{"createOption":"Copy","sourceResourceId":"~/disks/d"}}} | 400 InvalidParameter
PATCH disks/d | {"sku":{"name":"Gold"}} | 400 InvalidParameter
PATCH snapshots/s | {"sku":{"name":"StandardSSD_LRS"}} | 400 InvalidParameter
PATCH snapshots/i | {"sku":{"name":"Premium_LRS"}} | 400 InvalidParameter
# sizes
PUT disks/x | {"location":"westus","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":0}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":-1}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":32768}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","sku":{"name":"UltraSSD_LRS"},"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":65537}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":9223372036854775807}} | 400 InvalidParameter
PUT snapshots/x | {"location":"westus","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":0}} | 400 InvalidParameter
PUT snapshots/x | {"location":"westus","properties":{"creationData":{"createOption":"Copy","sourceResourceId":"~/disks/d"},"diskSizeGB":6}} | 400 InvalidParameter
PUT snapshots/x | {"location":"westus","properties":{"creationData":{"createOption":"Copy","sourceResourceId":"~/disks/d"},"diskSizeGB":4}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"diskSizeGB":1}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"diskSizeGB":0}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"diskSizeGB":40000}} | 400 InvalidParameter
PATCH snapshots/s | {"properties":{"diskSizeGB":1}} | 400 InvalidParameter
PATCH disks/u | {"properties":{"diskSizeGB":9}} | 409 OperationNotAllowed
PUT disks/x | {"location":"westus","properties":{"creationData":{"createOption":"Upload","uploadSizeBytes":0}}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","properties":{"creationData":{"createOption":"Upload","uploadSizeBytes":-512}}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","properties":{"creationData":{"createOption":"Upload","uploadSizeBytes":20972544},"diskSizeGB":9}} | 400 InvalidParameter
# creation
PUT disks/x | {"location":"westus","properties":{"creationData":{"createOption":"Nothing"},"diskSizeGB":1}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","properties":{"creationData":{"createOption":"Attach"},"diskSizeGB":1}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","properties":{"creationData":{"createOption":"FromImage"},"diskSizeGB":1}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","properties":{"creationData":{"createOption":"Import","sourceUri":"https://h/b"}}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","properties":{"creationData":{"createOption":"ImportSecure"}}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","properties":{"creationData":{"createOption":"UploadPreparedSecure"}}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","properties":{"creationData":{"createOption":"Restore"}}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","properties":{"creationData":{"createOption":"CopyStart","sourceResourceId":"~/snapshots/i"}}} | 400 InvalidParameter
PUT snapshots/x | {"location":"westus","properties":{"creationData":{"createOption":"Upload","uploadSizeBytes":20972545}}} | 400 InvalidParameter
PUT snapshots/x | {"location":"westus","properties":{"incremental":true,"creationData":{"createOption":"Upload","uploadSizeBytes":20972544}}} | 400 InvalidParameter
PUT snapshots/x | {"location":"westus","properties":{"creationData":{"createOption":"CopyFromSanSnapshot"}}} | 400 InvalidParameter
PUT snapshots/x | {"location":"eastus","properties":{"creationData":{"createOption":"CopyStart","sourceResourceId":"~/snapshots/i"}}} | 400 InvalidParameter
PUT snapshots/x | {"location":"eastus","properties":{"incremental":true,"creationData":{"createOption":"CopyStart","sourceResourceId":"~/snapshots/s"}}} | 409 OperationNotAllowed
PUT snapshots/x | {"location":"eastus","properties":{"incremental":true,"creationData":{"createOption":"CopyStart","sourceResourceId":"~/disks/d"}}} | 409 OperationNotAllowed
PUT snapshots/x | {"location":"eastus","properties":{"incremental":true,"creationData":{"createOption":"CopyStart","sourceResourceId":"~/snapshots/none"}}} | 404 NotFound
PUT snapshots/x | {"location":"eastus","properties":{"incremental":true,"creationData":{"createOption":"CopyStart","sourceResourceId":"~/snapshots/i","provisionedBandwidthCopySpeed":"Fast"}}} | 400 InvalidParameter
PUT snapshots/x | {"location":"eastus","properties":{"incremental":true,"creationData":{"createOption":"Copy","sourceResourceId":"~/snapshots/i"}}} | 404 NotFound
PUT snapshots/x | {"location":"westus","properties":{"creationData":{"createOption":"Copy","sourceResourceId":"d"}}} | 400 InvalidParameter
PUT snapshots/x | {"location":"westus","properties":{"creationData":{"createOption":"Copy","sourceResourceId":"~/disks"}}} | 400 InvalidParameter
PUT snapshots/x | {"location":"westus","properties":{"creationData":{"createOption":"Copy","sourceResourceId":"~/diskAccesses/a"}}} | 400 InvalidParameter
PUT snapshots/x | {"location":"westus","properties":{"creationData":{"createOption":"Copy","sourceResourceId":"~/virtualMachines/v"}}} | 400 InvalidParameter
PUT snapshots/x | {"location":"westus","properties":{"creationData":{"createOption":"Copy","sourceResourceId":"~/disks/none"}}} | 404 NotFound
PUT snapshots/x | {"location":"westus","properties":{"creationData":{"createOption":"Copy","sourceResourceId":"~/disks/u"}}} | 409 OperationNotAllowed
PUT snapshots/x | {"location":"westus","properties":{"incremental":true,"creationData":{"createOption":"Empty"},"diskSizeGB":1}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","properties":{"incremental":true,"creationData":{"createOption":"Empty"},"diskSizeGB":1}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","properties":{"creationData":{"createOption":"Empty","logicalSectorSize":4096},"diskSizeGB":1}} | 400 InvalidParameter
PUT disks/x | {"location":"westus","sku":{"name":"UltraSSD_LRS"},"properties":{"creationData":{"createOption":"Empty","logicalSectorSize":1024},"diskSizeGB":4}} | 400 InvalidParameter
PUT snapshots/x | {"location":"westus","properties":{"creationData":{"createOption":"Copy","sourceResourceId":"~/disks/d","instantAccessDurationMinutes":60}}} | 400 InvalidParameter
PUT disks/d | {"location":"westus","properties":{"creationData":{"createOption":"Upload","uploadSizeBytes":20972544}}} | 400 PropertyChangeNotAllowed
PUT disks/u | {"location":"westus","properties":{"creationData":{"createOption":"Upload","uploadSizeBytes":20973056}}} | 400 PropertyChangeNotAllowed
PUT snapshots/s | {"location":"westus","properties":{"creationData":{"createOption":"Copy","sourceResourceId":"~/disks/u"}}} | 400 PropertyChangeNotAllowed
PUT snapshots/s | {"location":"westus","properties":{"incremental":true,"creationData":{"createOption":"Copy","sourceResourceId":"~/disks/d"}}} | 400 PropertyChangeNotAllowed
PATCH snapshots/i | {"properties":{"incremental":false}} | 400 PropertyChangeNotAllowed
PUT disks/d | {"location":"westus","properties":{"creationData":{"createOption":"Empty","logicalSectorSize":4096}}} | 400 PropertyChangeNotAllowed
PUT disks/d | {"location":"westus","properties":{"creationData":{"createOption":"Empty","performancePlus":true}}} | 400 PropertyChangeNotAllowed
# settings
PATCH disks/d | {"properties":{"osType":"Plan9"}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"hyperVGeneration":"V9"}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"networkAccessPolicy":"Some"}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"networkAccessPolicy":"AllowPrivate"}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"networkAccessPolicy":"AllowPrivate","diskAccessId":"~/diskAccesses/none"}} | 404 NotFound
PATCH disks/d | {"properties":{"networkAccessPolicy":"AllowPrivate","diskAccessId":"~/disks/d"}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"networkAccessPolicy":"DenyAll","diskAccessId":"~/diskAccesses/a"}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"publicNetworkAccess":"Maybe"}} | 400 InvalidParameter
PATCH snapshots/s | {"properties":{"dataAccessAuthMode":"Kerberos"}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"encryption":{"type":"None"}}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"encryption":{"type":"EncryptionAtRestWithCustomerKey"}}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"encryption":{"diskEncryptionSetId":"~/diskEncryptionSets/none"}}} | 404 NotFound
PATCH disks/d | {"properties":{"encryption":{"diskEncryptionSetId":"~/snapshots/s"}}} | 400 InvalidParameter
PATCH snapshots/s | {"properties":{"encryption":{"type":"EncryptionAtRestWithPlatformAndCustomerKeys","diskEncryptionSetId":"~/diskEncryptionSets/k"}}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"encryptionSettingsCollection":{"enabled":true}}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"securityProfile":{"securityType":"Trusted"}}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"securityProfile":{"securityType":"ConfidentialVM_DiskEncryptedWithCustomerKey"}}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"securityProfile":{"secureVMDiskEncryptionSetId":"~/diskEncryptionSets/k"}}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"supportedCapabilities":{"architecture":"s390x"}}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"supportedCapabilities":{"supportedSecurityOption":"All"}}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"purchasePlan":{"publisher":"p","product":"q"}}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"maxShares":0}} | 400 BadRequest
PATCH disks/d | {"properties":{"maxShares":3}} | 400 BadRequest
PATCH disks/d | {"properties":{"tier":"Q1"}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"diskIOPSReadWrite":-1}} | 400 InvalidParameter
PATCH disks/d | {"properties":{"diskMBpsReadWrite":1000000}} | 400 InvalidParameter
PATCH disks/d | {"tags":{"":"v"}} | 400 InvalidTagName
PATCH snapshots/s | {"tags":{"a<b":"v"}} | 400 InvalidTagNameCharacters
# restore points
PUT restorePointCollections/x?api-version=2024-07-01 | {} | 400 LocationRequired
PUT restorePointCollections/x?api-version=2024-07-01 | {"location":"westus"} | 400 InvalidParameter
PUT restorePointCollections/x?api-version=2024-07-01 | {"location":"westus","source":{}} | 400 InvalidRequestContent
PUT restorePointCollections/x?api-version=2024-07-01 | {"location":"westus","properties":{"source":{}}} | 400 InvalidParameter
PUT restorePointCollections/x?api-version=2024-07-01 | {"location":"westus","properties":{"source":{"id":"d"}}} | 400 InvalidParameter
PUT restorePointCollections/x?api-version=2024-07-01 | {"location":"westus","properties":{"source":{"id":"~/snapshots/s"}}} | 400 InvalidParameter
PUT restorePointCollections/x?api-version=2024-07-01 | {"location":"westus","properties":{"source":{"id":"~/disks/none"}}} | 404 NotFound
PUT restorePointCollections/x?api-version=2024-07-01 | {"location":"westus","properties":{"source":{"id":"~/virtualMachines/none"}}} | 404 NotFound
PUT restorePointCollections/x?api-version=2024-07-01 | {"location":"eastus","properties":{"source":{"id":"~/disks/d"}}} | 400 InvalidParameter
PUT restorePointCollections/x?api-version=2020-12-01 | {"location":"westus"} | 400 NoRegisteredProviderFound
PUT restorePointCollections/r?api-version=2024-07-01 | {"location":"eastus","properties":{"source":{"id":"~/disks/d"}}} | 409 InvalidResourceLocation
PUT restorePointCollections/r?api-version=2024-07-01 | {"location":"westus","properties":{"source":{"id":"~/disks/p"}}} | 400 PropertyChangeNotAllowed
PATCH restorePointCollections/r?api-version=2024-07-01 | {"properties":{"source":{"id":"~/disks/p"}}} | 400 PropertyChangeNotAllowed
PATCH restorePointCollections/none?api-version=2024-07-01 | {} | 404 ResourceNotFound
GET restorePointCollections/none?api-version=2024-07-01 |  | 404 ResourceNotFound
GET restorePointCollections?api-version=2024-07-01&$skiptoken=* |  | 400 InvalidSkipToken
PUT restorePointCollections/none/restorePoints/p?api-version=2024-07-01 | {} | 404 ResourceNotFound
PUT restorePointCollections/r/restorePoints/p?api-version=2024-07-01 | {"properties":{"consistencyMode":"ApplicationConsistent"}} | 400 InvalidParameter
PUT restorePointCollections/r/restorePoints/p?api-version=2024-07-01 | {"properties":{"consistencyMode":"None"}} | 400 InvalidParameter
PUT restorePointCollections/r/restorePoints/p?api-version=2024-07-01 | {"properties":{"excludeDisks":[{"id":"~/disks/d"}]}} | 409 OperationNotAllowed
PUT restorePointCollections/r/restorePoints/p?api-version=2024-07-01 | {"properties":{"excludeDisks":"~/disks/d"}} | 400 InvalidRequestContent
PUT restorePointCollections/r/restorePoints/p?api-version=2024-07-01 | {"properties":{"sourceRestorePoint":{"id":"~/restorePointCollections/r/restorePoints/q"}}} | 400 InvalidParameter
PUT restorePointCollections/r/restorePoints/-?api-version=2024-07-01 | {} | 400 InvalidParameter
GET restorePointCollections/r/restorePoints/none?api-version=2024-07-01 |  | 404 ResourceNotFound
GET restorePointCollections/r/restorePoints/none/diskRestorePoints?api-version=2024-03-02 |  | 404 ResourceNotFound
PATCH restorePointCollections/r/restorePoints/p?api-version=2024-07-01 | {} | 405 MethodNotAllowed
# machines
PUT virtualMachines/x?api-version=2024-07-01 | {} | 400 LocationRequired
PUT virtualMachines/x?api-version=2024-07-01 | {"location":"westus","storageProfile":{}} | 400 InvalidRequestContent
PUT virtualMachines/x?api-version=2024-07-01 | {"location":"westus","properties":{"storageProfile":{"osDisk":{"createOption":"Attach"}}}} | 400 InvalidParameter
PUT virtualMachines/x?api-version=2024-07-01 | {"location":"westus","properties":{"storageProfile":{"osDisk":{"createOption":"Attach","managedDisk":{"id":"~/snapshots/s"}}}}} | 400 InvalidParameter
PUT virtualMachines/x?api-version=2024-07-01 | {"location":"westus","properties":{"storageProfile":{"osDisk":{"createOption":"Attach","managedDisk":{"id":"~/disks/none"}}}}} | 404 NotFound
PUT virtualMachines/x?api-version=2024-07-01 | {"location":"westus","properties":{"storageProfile":{"dataDisks":[{"createOption":"Attach","managedDisk":{"id":"~/disks/d"}}]}}} | 400 InvalidParameter
PUT virtualMachines/x?api-version=2024-07-01 | {"location":"westus","properties":{"storageProfile":{"dataDisks":[{"lun":64,"createOption":"Attach","managedDisk":{"id":"~/disks/d"}}]}}} | 400 InvalidParameter
PUT virtualMachines/x?api-version=2024-07-01 | {"location":"westus","properties":{"storageProfile":{"dataDisks":[{"lun":0,"createOption":"Attach","managedDisk":{"id":"~/disks/u"}}]}}} | 409 OperationNotAllowed
PATCH virtualMachines/none?api-version=2024-07-01 | {} | 404 ResourceNotFound
GET virtualMachines/none/instanceView?api-version=2024-07-01 |  | 404 ResourceNotFound
# names
PUT disks/-x | {"location":"westus","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}} | 400 InvalidParameter
PUT disks/x. | {"location":"westus","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}} | 400 InvalidParameter
PUT snapshots/_x | {"location":"westus","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}} | 400 InvalidParameter
PUT diskAccesses/a%25b | {"location":"westus"} | 400 InvalidParameter
PUT diskEncryptionSets/%C3%A4 | {"location":"westus","properties":{"activeKey":{"keyUrl":"https://v/keys/k/1"}}} | 400 InvalidParameter
# access
POST disks/d/beginGetAccess | {"access":"None","durationInSeconds":60} | 400 InvalidParameter
POST disks/d/beginGetAccess | {"access":"Read","durationInSeconds":-1} | 400 InvalidParameter
POST disks/d/beginGetAccess | {"access":"Read","durationInSeconds":60,"fileFormat":"raw"} | 400 InvalidParameter
POST disks/d/beginGetAccess | {"access":"Read","durationInSeconds":60,"getSecureVMGuestStateSAS":true} | 400 InvalidParameter
POST disks/d/beginGetAccess | {"access":"Write","durationInSeconds":60} | 409 OperationNotAllowed
POST disks/u/beginGetAccess | {"access":"Read","durationInSeconds":60} | 409 OperationNotAllowed
POST snapshots/s/beginGetAccess | {"access":"Write","durationInSeconds":60} | 409 OperationNotAllowed
POST disks/none/beginGetAccess | {"access":"Read","durationInSeconds":60} | 404 ResourceNotFound
POST disks/none/endGetAccess |  | 404 ResourceNotFound
POST snapshots/none/endGetAccess |  | 404 ResourceNotFound
# what does not exist
GET snapshots/none |  | 404 ResourceNotFound
GET diskAccesses/none |  | 404 ResourceNotFound
GET diskEncryptionSets/none |  | 404 ResourceNotFound
GET diskEncryptionSets/none/associatedResources |  | 404 ResourceNotFound
GET diskAccesses/none/privateLinkResources |  | 404 ResourceNotFound
GET diskAccesses/none/privateEndpointConnections |  | 404 ResourceNotFound
GET diskAccesses/a/privateEndpointConnections/p |  | 404 NotFound
PATCH disks/none | {} | 404 ResourceNotFound
PATCH diskAccesses/none | {} | 404 ResourceNotFound
GET virtualMachines |  | 404 InvalidResourceType
GET virtualMachines/v |  | 404 InvalidResourceType
PUT galleries/x | {"location":"westus"} | 404 InvalidResourceType
GET /providers/Microsoft.Nothing/things |  | 404 InvalidResourceNamespace
GET disks/d/nothing |  | 404 InvalidResourceType
DELETE disks/d/nothing/n |  | 404 InvalidResourceType
POST disks/d/nothing |  | 404 NotFound
DELETE disks |  | 405 MethodNotAllowed
POST disks/d |  | 405 MethodNotAllowed
PUT disks/d/beginGetAccess | {} | 405 MethodNotAllowed
# what is in use
DELETE diskEncryptionSets/k |  | 409 OperationNotAllowed
DELETE diskAccesses/a |  | 409 OperationNotAllowed
# versions and queries
GET disks/d?api-version= |  | 400 MissingApiVersionParameter
GET disks/d?x=y |  | 400 MissingApiVersionParameter
GET disks/d?api-version=1999-01-01 |  | 400 NoRegisteredProviderFound
PUT disks/x?api-version=1999-01-01 | {"location":"westus"} | 400 NoRegisteredProviderFound
GET diskAccesses?api-version=2019-03-01 |  | 404 InvalidResourceType
GET disks?api-version=2024-03-02&$skiptoken=* |  | 400 InvalidSkipToken
GET disks?api-version=2024-03-02&$skiptoken=Z2FyYmFnZQ |  | 400 InvalidSkipToken
GET diskAccesses?api-version=2024-03-02&$skiptoken=* |  | 400 InvalidSkipToken
GET /resources?api-version=2021-04-01&$top=0 |  | 400 InvalidTopInQueryString
GET @/resourceGroups?api-version=2021-04-01&$top=0 |  | 400 InvalidTopInQueryString
GET @/resourceGroups?api-version=2021-04-01&$skiptoken=* |  | 400 InvalidSkipToken
GET @/resourceGroups?api-version=2021-04-01&$filter=name |  | 400 InvalidFilterInQueryString
GET disks?API-VERSION=2024-03-02&$SkipToken=* |  | 400 InvalidSkipToken
GET /resources?api-version=2021-04-01&$top=many |  | 400 InvalidTopInQueryString
GET /resources?api-version=2021-04-01&$filter=name |  | 400 InvalidFilterInQueryString
GET /resources?api-version=2021-04-01&$filter=(name+eq+'a' |  | 400 InvalidFilterInQueryString
GET /resources?api-version=2021-04-01&$skiptoken=* |  | 400 InvalidSkipToken
# groups and subscriptions
PUT @/resourceGroups/x | {} | 400 LocationRequired
PUT @/resourceGroups/x | {"location":"atlantis"} | 400 LocationNotAvailableForResourceGroup
PUT @/resourceGroups/x | {"location":"westus","tags":{"a/b":"c"}} | 400 InvalidTagNameCharacters
PUT @/resourceGroups/x | {"location":"westus","tags":{"":"c"}} | 400 InvalidTagName
PATCH disks/d | {"tags":{" ":"v"}} | 400 InvalidTagName
PUT diskAccesses/x | {"location":"westus","tags":{" ":"11"}} | 400 InvalidTagName
PATCH /providers/Microsoft.Resources/tags/default?api-version=2021-04-01 | {"operation":"Merge","properties":{"tags":{"  ":""}}} | 400 InvalidTagName
PUT @/resourceGroups/x | {"location":"westus","tags":5} | 400 InvalidRequestContent
PUT @/resourceGroups/x. | {"location":"westus"} | 400 InvalidResourceGroup
PUT @/resourceGroups/a*b | {"location":"westus"} | 400 InvalidResourceGroup
PUT @/resourceGroups/g | {"location":"eastus"} | 409 InvalidResourceGroupLocation
PATCH @/resourceGroups/none | {"tags":{}} | 404 ResourceGroupNotFound
GET @/resourceGroups/none |  | 404 ResourceGroupNotFound
DELETE @/resourceGroups/none |  | 404 ResourceGroupNotFound
GET @/resourceGroups/none/resources |  | 404 ResourceGroupNotFound
GET @/resourceGroups/none/providers/Microsoft.Compute/disks?api-version=2024-03-02 |  | 404 ResourceGroupNotFound
GET @/resourceGroups/none/providers/Microsoft.Compute/diskAccesses?api-version=2024-03-02 |  | 404 ResourceGroupNotFound
PUT @/resourceGroups/none/providers/Microsoft.Compute/diskAccesses/a?api-version=2024-03-02 | {"location":"westus"} | 404 ResourceGroupNotFound
GET @/resourceGroups?api-version=1999-01-01 |  | 400 InvalidApiVersionParameter
GET @/providers/Microsoft.Nothing |  | 404 InvalidResourceNamespace
GET @/operationresults/none |  | 404 OperationNotFound
GET @/providers/Microsoft.Compute/locations/westus/DiskOperations/none?api-version=2024-03-02 |  | 404 NotFound
# names of tags
PUT @/tagNames/azure |  | 400 InvalidTagName
PUT @/tagNames/a%3Cb |  | 400 InvalidTagNameCharacters
PUT @/tagNames/none/tagValues/v |  | 404 TagNameNotFound
# locks
PUT /providers/Microsoft.Authorization/locks/l?api-version=2016-09-01 | {} | 400 InvalidParameter
PUT /providers/Microsoft.Authorization/locks/l?api-version=2016-09-01 | {"properties":{"level":"NotSpecified"}} | 400 InvalidLockLevel
GET /providers/Microsoft.Authorization/locks/l?api-version=2016-09-01 |  | 404 LockNotFound
GET /providers/Microsoft.Authorization/locks?api-version=1999-01-01 |  | 404 InvalidResourceType
`

// TestRefusals wants each bad request refused with Azure's status and code, and nothing to come of it.
func TestRefusals(t *testing.T) {
	r := newRig(t)
	const group = "/subscriptions/" + subscription + "/resourceGroups/g"
	const compute = group + "/providers/Microsoft.Compute"
	r.make(group, map[string]any{"location": "westus"}, "2021-04-01")
	access, set := compute+"/diskAccesses/a", compute+"/diskEncryptionSets/k"
	r.make(access, map[string]any{"location": "westus"}, specVersion)
	r.makeOne(set, "")
	disk := func(name string, properties map[string]any) {
		r.make(compute+"/"+name, map[string]any{"location": "westus", "properties": properties}, specVersion)
	}
	from := func(option string, more ...string) map[string]any {
		data := map[string]any{"createOption": option}
		if len(more) > 0 {
			data["sourceResourceId"] = more[0]
		}
		return data
	}
	disk("disks/d", map[string]any{"creationData": from("Empty"), "diskSizeGB": 5})
	disk("disks/u", map[string]any{"creationData": map[string]any{"createOption": "Upload", "uploadSizeBytes": 20972544}})
	disk("disks/p", map[string]any{
		"creationData": from("Empty"), "diskSizeGB": 1, "networkAccessPolicy": "AllowPrivate", "diskAccessId": access,
		"encryption": map[string]any{"diskEncryptionSetId": set},
	})
	disk("snapshots/s", map[string]any{"creationData": from("Copy", compute+"/disks/d")})
	disk("snapshots/i", map[string]any{"creationData": from("Copy", compute+"/disks/d"), "incremental": true})
	r.make(compute+"/restorePointCollections/r", map[string]any{"location": "westus", "properties": map[string]any{"source": map[string]any{"id": compute + "/disks/d"}}}, pointVersion)
	before := whole(r.do("GET", group+"/resources?api-version=2021-04-01", nil).body)
	count := 0
	for _, line := range strings.Split(refusals, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		count++
		r.refused(t, line, group, compute)
	}
	if count < 200 {
		t.Errorf("only %d bad requests", count)
	}
	if after := whole(r.do("GET", group+"/resources?api-version=2021-04-01", nil).body); before != after {
		t.Errorf("refused requests left %s, there was %s", after, before)
	}
}

func (r *rig) refused(t *testing.T, line, group, compute string) {
	t.Helper()
	part := strings.Split(line, " | ")
	method, path, _ := strings.Cut(part[0], " ")
	version := specVersion
	switch path[0] {
	case '@':
		path, version = "/subscriptions/"+subscription+path[1:], "2021-04-01"
	case '/':
		path = group + path
	default:
		path = compute + "/" + path
	}
	if !strings.Contains(path, "?") {
		path += "?api-version=" + version
	}
	a := r.send(method, path, strings.ReplaceAll(strings.TrimSpace(part[1]), "~", compute))
	status, code, _ := strings.Cut(strings.TrimSpace(part[2]), " ")
	if got, _ := object(object(a.body)["error"])["code"].(string); whole(a.status) != status || got != code {
		t.Errorf("%s\n\tgot %d %s", line, a.status, show(a.body))
	}
}
